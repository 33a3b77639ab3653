import { RankscopeError } from '../../base/errors.ts';
import type { Tensor } from '../../checkpoint/tensor.ts';
import type { AttentionHeads } from '../../model/diff/diff.ts';
import type { Matchable } from '../../model/diff/matchTensors.ts';
import { isMetaProjection } from '../../model/diff/metaNames.ts';
import type { Skipped } from '../../model/findings.ts';
import { attentionHeads, fusesByHead } from '../../model/heads.ts';
import { dimensionsOf } from '../../model/layout/dimensions.ts';
import { isStored } from '../../model/matrix.ts';
import { anatomy } from '../../model/names/anatomy.ts';
import type { StoredMatrix } from '../../model/storedMatrix.ts';
import { ggufForm } from '../../network/ggufForm.ts';
import type { Opened } from '../checkpoints/opened.ts';

/** A tensor of one of two models, seen as a matrix where it is one. */
export interface Item extends Matchable {
  readonly tensor: Tensor;
  readonly matrix: StoredMatrix | null;
}

/** One of two models: its tensors under the names and in the order of rows that Hugging Face's code uses. */
export interface Side {
  readonly opened: Opened;
  readonly items: readonly Item[];
  readonly tensors: readonly Tensor[];
  readonly heads: AttentionHeads | null;
  /** Whether a fused projection is a stack of heads, each with its query, key and value. */
  readonly fusesByHead: boolean;
  /** Tensors that repeat another one. */
  readonly repeated: ReadonlySet<string>;
  /** Whether the names, and so the order of rows of q and k, are those of Meta's LLaMA code. */
  readonly isMeta: boolean;
  readonly skipped: readonly Skipped[];
  readonly remarks: readonly string[];
}

/**
 * What can be compared of a checkpoint.
 * @throws RankscopeError 'wrong-use' for an adapter, the state of an optimizer, and a file without tensors
 */
export function sideOf(opened: Opened): Side {
  const { checkpoint } = opened;
  refuseOtherKinds(opened);
  const form = ggufForm(checkpoint);
  const tensors = form?.checkpoint.tensors ?? checkpoint.tensors;
  const dimensions = dimensionsOf(checkpoint.configuration, checkpoint.metadata);
  const { matrices, skipped } = form ? anatomy(tensors, undefined, dimensions) : opened.anatomy;
  const stored = matrices.filter(isStored);
  const inMatrices = new Set(stored.map(({ tensorName }) => tensorName));
  const others = tensors.filter(({ name, refused }) => !inMatrices.has(name) && refused === undefined);
  const items: Item[] = [
    ...stored.map((matrix) => {
      const { name, shape, stack, layer, module, role, expert, tensor } = matrix;
      const place = { ...(stack === undefined ? {} : { stack }), layer, module, role, expert };
      return { name, shape, place, tensor, matrix };
    }),
    ...others.map((tensor) => ({ name: tensor.name, shape: tensor.shape, place: null, tensor, matrix: null })),
  ];
  const names = new Map(checkpoint.tensors.map(({ name }) => [name, form ? (form.namesOf(name)[0] ?? name) : name]));
  const repeated = opened.ties().flatMap((group) => group.slice(1).map((name) => names.get(name) ?? name));
  const refused = new Map(tensors.flatMap(({ name, refused }) => (refused === undefined ? [] : [[name, refused]])));
  return {
    opened,
    items,
    tensors,
    heads: attentionHeads(checkpoint.configuration, checkpoint.metadata),
    fusesByHead: fusesByHead(checkpoint.configuration),
    repeated: new Set(repeated),
    isMeta: tensors.some(({ name }) => isMetaProjection(name)),
    skipped: skipped.filter(({ name }) => refused.has(name)),
    remarks: form?.remarks ?? [],
  };
}

const OPTIMIZER = /(^|[./])(exp_avg|exp_avg_sq|max_exp_avg_sq|momentum_buffer|square_avg|acc_delta)$/;

/** @throws RankscopeError 'wrong-use' for the state of an optimizer */
export function refuseOptimizer({ checkpoint: { path, tensors, warnings } }: Opened): void {
  const states = tensors.filter(({ name }) => OPTIMIZER.test(name)).length;
  const leftOut = tensors.length === 0 && warnings.some((warning) => warning.includes('optimizer'));
  if (!leftOut && (states === 0 || 2 * states < tensors.length)) return;
  const found = 'it holds the state of an optimizer, not a model';
  throw new RankscopeError('wrong-use', path, found, 'Name the checkpoint beside it');
}

function refuseOtherKinds(opened: Opened): void {
  const { checkpoint, adapter, anatomy } = opened;
  const { path, tensors } = checkpoint;
  const wrong = (found: string, remedy: string) => new RankscopeError('wrong-use', path, found, remedy);
  if (adapter.pairs > 0 && anatomy.matrices.every((matrix) => !isStored(matrix)))
    throw wrong('it is an adapter, not a model', 'Compare adapters with: rankscope compare');
  refuseOptimizer(opened);
  if (tensors.length === 0) throw wrong('it holds no tensors', 'Name a checkpoint with weights');
}
