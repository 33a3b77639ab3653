import { RankscopeError } from '../../base/errors.ts';
import { untied } from '../../checkpoint/ties.ts';
import type { RowSource } from '../../devices/backend.ts';
import type { AttentionHeads } from '../../model/diff/diff.ts';
import { matchTensors } from '../../model/diff/matchTensors.ts';
import type { HeadPlace, RestoreReport, RestoreRequest } from '../../model/diff/restore.ts';
import { type RoleMatch, splitFused } from '../../model/diff/splitFused.ts';
import { headBlocks } from '../../model/heads.ts';
import type { Role } from '../../model/names/roles.ts';
import type { CallContext, StepProgress } from '../../protocol/service.ts';
import { carriedTensor } from '../../write/carried.ts';
import { ownMetadata } from '../../write/metadata.ts';
import { mixedTensor, type Patch } from '../../write/mixedTensor.ts';
import { writeSafetensors } from '../../write/safetensorsWriter.ts';
import { type OpenCheckpoints, refuseChanged } from '../checkpoints/opened.ts';
import { orientedRows } from './rows.ts';
import { type Item, type Side, sideOf } from './sides.ts';

/**
 * Writes the other model with some attention heads as they are in the base: their rows of q, their columns of the
 * output projection, and the rows of k and v of each group whose heads are all taken back. Biases follow their rows.
 * @throws RankscopeError 'wrong-use' for heads that the models do not have, and as `writeSafetensors` does
 */
export function restoreHeads(
  checkpoints: OpenCheckpoints,
  request: RestoreRequest,
  context: CallContext<StepProgress>,
): Promise<RestoreReport> {
  const { base, other, out } = request;
  return checkpoints.useAll([base, other], context.signal, async ([one, two]) => {
    const [before, after] = [sideOf(one!), sideOf(two!)];
    const heads = headsOfBoth(before, after, request);
    const matches = matchTensors(before.items, after.items).matches.flatMap((match) => splitFused(match, heads));
    const patches = patchesOf(matches, heads, before.fusesByHead || after.fusesByHead, request);
    const ties = await two!.tiesByContent(context.signal);
    const kept = untied(after.tensors, ties);
    const tensors = kept.flatMap((tensor) => {
      const own = patches.get(tensor.name);
      return own ? [mixedTensor(tensor, own)] : (tensor.derived?.parts ?? [tensor]).map((part) => carriedTensor(part));
    });
    const bytes = await writeSafetensors({
      out,
      tensors,
      metadata: new Map([['format', 'pt'], ...ownMetadata(two!.checkpoint)]),
      sources: [one!, two!].flatMap(({ checkpoint }) => checkpoint.files.map(({ path }) => path)),
      overwrite: request.overwrite === true,
      signal: context.signal,
      progress: (done, message) => context.progress?.({ done, total: tensors.length, message }),
    });
    for (const { checkpoint } of [one!, two!]) await refuseChanged(checkpoint);
    const { keys, queries } = heads;
    const remarks =
      keys < queries
        ? [
            `Keys and values are shared by ${queries / keys} heads: those of a group are taken back with all of its heads.`,
          ]
        : [];
    return { out, bytes, heads: request.heads.length, mixed: [...patches.keys()], remarks };
  });
}

function headsOfBoth(base: Side, other: Side, request: RestoreRequest): AttentionHeads {
  const refuse = (subject: string, found: string, remedy: string) =>
    new RankscopeError('wrong-use', subject, found, remedy);
  const heads = other.heads ?? base.heads;
  if (!heads)
    throw refuse(request.other, 'nothing says how many attention heads it has', 'Put its config.json beside it');
  if (base.isMeta !== other.isMeta)
    throw refuse(request.other, 'only one of the models has the row order of Meta’s code', 'Convert one of them first');
  if (request.heads.length === 0) throw refuse('heads', 'no head is named', 'Name heads as LAYER.HEAD');
  const beyond = request.heads.find(({ head }) => !(head >= 0 && head < heads.queries));
  if (beyond)
    throw refuse('heads', `head ${beyond.head} of ${heads.queries}`, `Heads count from 0 to ${heads.queries - 1}`);
  return heads;
}

/** What is written over each tensor of the other model, by its name. */
function patchesOf(
  matches: readonly RoleMatch<Item>[],
  heads: AttentionHeads,
  byHead: boolean,
  { heads: wanted, other: path }: RestoreRequest,
): Map<string, Patch[]> {
  const patches = new Map<string, Patch[]>();
  const add = ({ tensor: { name } }: Item, patch: Patch) => patches.set(name, [...(patches.get(name) ?? []), patch]);
  const met = new Set<HeadPlace>();
  const biases = new Map(matches.filter(({ base }) => !base.matrix).map((match) => [match.other.name, match]));
  for (const match of matches) {
    const part = match.baseRows ? match.other : match.base;
    if (!part.matrix || !match.other.matrix || !match.base.matrix) continue;
    const { layer, stack } = part.matrix;
    const role = match.role ?? part.matrix.role;
    const here = wanted.filter((each) => each.layer === layer && (each.stack ?? undefined) === stack);
    const taken = takenHeads(
      role,
      here.map(({ head }) => head),
      heads,
    );
    const blocks = taken.length > 0 ? headBlocks(role, sizeOf(match), heads, byHead) : undefined;
    if (!blocks) continue;
    if (role === 'query' || role === 'qkv') for (const each of here) met.add(each);
    const source = orientedRows(match.base.matrix, { rows: match.baseRows });
    if (source.cols !== match.other.matrix.shape[1] || sizeOf(match)[0] !== source.rows)
      throw new RankscopeError('wrong-use', part.name, 'its shapes differ in the two models', 'Leave out its heads');
    const own = taken.map((head) => blocks[head]!);
    add(match.other, { matrix: match.other.matrix, source, row: match.otherRows?.[0] ?? 0, blocks: own });
    const bias = role === 'output' ? undefined : biases.get(match.other.name.replace(/weight$/, 'bias'));
    if (!bias) continue;
    const { tensor } = bias.base;
    const first = match.baseRows?.[0] ?? 0;
    const read: RowSource['read'] = (row, values, signal) => tensor.read(first + row, values, signal);
    const column = { name: tensor.name, rows: source.rows, cols: 1, read };
    add(bias.other, { matrix: null, source: column, row: match.otherRows?.[0] ?? 0, blocks: own });
  }
  const missing = wanted.find((each) => !met.has(each));
  if (missing)
    throw new RankscopeError(
      'wrong-use',
      path,
      `layer ${missing.layer} has no query projection that is split into heads in both models`,
      'Compare the models first: rankscope diff lists the heads that can be taken back',
    );
  return patches;
}

/** Of keys and values, the heads whose queries are all taken. */
function takenHeads(role: Role, queries: readonly number[], heads: AttentionHeads): readonly number[] {
  const all = [...new Set(queries)].sort((a, b) => a - b);
  if (role === 'query' || role === 'output' || role === 'qkv') return all;
  const group = heads.queries / heads.keys;
  const counts = new Map<number, number>();
  for (const head of all) counts.set(Math.floor(head / group), (counts.get(Math.floor(head / group)) ?? 0) + 1);
  return [...counts].filter(([, count]) => count === group).map(([key]) => key);
}

/** [out, in] of what is compared of the other model. */
function sizeOf({ other, otherRows }: RoleMatch<Item>): readonly [number, number] {
  const [rows, cols] = other.matrix!.shape;
  return [otherRows ? otherRows[1] - otherRows[0] : rows, cols];
}
