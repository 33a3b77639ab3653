import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import type { Tensor } from '../checkpoint/tensor.ts';
import type { Placeable } from '../model/names/anatomy.ts';
import { type AdapterConfigurations, adapterConfigurations, adapterScale, expertsOf } from './configuration.ts';
import { findListedPairs } from './listed.ts';
import { type AdapterPair, findAdapterPairs } from './pairs.ts';
import { tensorsOf } from './parts.ts';
import type { RefusedUpdate, Update } from './update.ts';
import { UpdateMatrix } from './updateMatrix.ts';

/** The adapters in a checkpoint; all empty for any other checkpoint. */
export interface AdapterReading {
  /** `peft`, `kohya`, `diffusers` or `cloneofsimo`; empty where there is no adapter. */
  readonly naming: string;
  /** The number of low-rank pairs, including refused ones. */
  readonly pairs: number;
  readonly updates: readonly Update[];
  readonly refused: readonly RefusedUpdate[];
  /**
   * The base model of each adapter, by the adapter's name (`undefined` for a lone one), as far as it is stated
   * anywhere.
   */
  readonly bases: ReadonlyMap<string | undefined, string>;
  /** Doubts about the scales, one sentence each. */
  readonly remarks: readonly string[];
}

/** Reads what an adapter adds to its layers, with the scales stated in the file or beside it. */
export async function readAdapter(checkpoint: Checkpoint, signal?: AbortSignal): Promise<AdapterReading> {
  const found = findAdapterPairs(checkpoint.tensors) ?? findListedPairs(checkpoint.tensors);
  const updates: Update[] = [];
  const refused: RefusedUpdate[] = [...(found?.refused ?? [])];
  const bases = new Map<string | undefined, string>();
  const remarks = new Set<string>();
  const configurations = new Map<string | undefined, AdapterConfigurations>();
  for (const pair of found?.pairs ?? []) {
    const { target, adapter, stored, shape, rank, magnitude } = pair;
    const tensors = tensorsOf(stored);
    let said = configurations.get(adapter);
    if (!said) {
      said = await adapterConfigurations(checkpoint, { adapter, peft: found?.naming === 'peft' }, signal);
      configurations.set(adapter, said);
      if (said.baseModel !== undefined) bases.set(adapter, said.baseModel);
      for (const { source, unread } of said.all)
        if (unread.length > 0)
          remarks.add(`patterns in ${source} are not supported, so scales may be wrong: ${listed(unread)}`);
    }
    const experts = expertsOf(pair, said.all);
    if (experts > 1) {
      refused.push({
        target,
        tensors,
        reason: `it concatenates the factors of ${experts} experts, which are not separated yet`,
      });
      continue;
    }
    const alpha = await alphaOf(pair, signal);
    const scale = adapterScale(pair, said.all, alpha);
    if (!Number.isFinite(scale)) {
      refused.push({
        target,
        tensors,
        reason: `its scale is ${scale}: alpha is ${alpha}, the rank ${pair.factorRank}`,
      });
      continue;
    }
    updates.push({
      target,
      ...(adapter === undefined ? {} : { adapter }),
      stored,
      tensors,
      shape,
      rank,
      scale,
      dora: magnitude !== undefined,
    });
  }
  return {
    naming: found?.naming ?? '',
    pairs: found?.pairs.length ?? 0,
    updates,
    refused,
    bases,
    remarks: [...remarks],
  };
}

/**
 * The tensors of a checkpoint with the factors of each update replaced by one matrix [out, in], named after the layer.
 * It takes the place of its first factor.
 */
export function withUpdates(tensors: readonly Tensor[], updates: readonly Update[]): readonly (Tensor | Placeable)[] {
  if (updates.length === 0) return tensors;
  const taken = new Set(tensors.map(({ name }) => name));
  const instead = new Map<Tensor, Placeable>();
  for (const update of updates) {
    const { target, adapter, shape } = update;
    const own = adapter === undefined ? target : `${target} (${adapter})`;
    const name = taken.has(own) ? `${own} (adapter)` : own;
    const placeable: Placeable = { name, shape, matrixAt: (place) => new UpdateMatrix(name, update, place) };
    for (const part of update.tensors) instead.set(part, placeable);
  }
  return [...new Set(tensors.map((tensor) => instead.get(tensor) ?? tensor))];
}

async function alphaOf({ alpha }: AdapterPair, signal: AbortSignal | undefined): Promise<number | undefined> {
  if (!alpha || alpha.shape.some((size) => size !== 1)) return undefined;
  const value = new Float32Array(1);
  await alpha.read(0, value, signal);
  return value[0];
}

/** The first few, each shortened to fit on a line. */
function listed(texts: readonly string[]): string {
  const some = texts.slice(0, 3).map((text) => (text.length > 60 ? `${text.slice(0, 59)}…` : text));
  return some.join(', ') + (texts.length > 3 ? ` and ${texts.length - 3} more` : '');
}
