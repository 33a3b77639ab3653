import type { AttentionInput, Matrix } from '../../devices/backend.ts';
import type { LayerSettings } from '../configuration/decoder.ts';
import type { Network } from '../network.ts';
import { mixture } from '../operations/experts.ts';
import { feedForward } from '../operations/feedForward.ts';
import { linear } from '../operations/linear.ts';
import { type Norm, normalized } from '../operations/norm.ts';
import { type Rotations, rotate } from '../operations/rope.ts';
import type { Rows } from '../operations/rows.ts';
import { type Run, type Scope, withScope } from '../operations/run.ts';
import { splitFused } from '../operations/splitFused.ts';
import type { Block } from './block.ts';
import type { LayerCache } from './layerCache.ts';

/** What passes through a block: the rows of some windows, one after the other. */
export interface Passage {
  readonly run: Run;
  readonly network: Network;
  readonly settings: LayerSettings;
  /** Lengths of the windows. */
  readonly lengths: readonly number[];
  /** The rotations for windows of a length. */
  readonly rotationsOf: (length: number) => Rotations | null;
  /** What the rows of the one window follow; they are added to it. Without it, every window stands by itself. */
  readonly cache?: LayerCache | undefined;
}

/** The residual stream behind a block. Inside of it, everything is in device memory. */
export function applyBlock(passage: Passage, block: Block, rows: Rows): Promise<Rows> {
  return withScope(passage.run, async (scope) => {
    const x = await scope.upload(rows);
    await addParts(scope, passage, block, x);
    return scope.download(x);
  });
}

/** Adds attention and feed-forward part to the residual stream x. */
async function addParts(scope: Scope, passage: Passage, block: Block, x: Matrix): Promise<void> {
  const { network } = scope.backend;
  const { parallel, residualScale, normsAfterSum } = passage.network.decoder;
  const { attentionNorm, attentionOutputNorm, feedForwardNorm, feedForwardOutputNorm } = block.norms;
  const read = async (norm: Norm | undefined) => {
    if (norm && !normsAfterSum) return normalized(scope, x, norm);
    const copy = await scope.take(x.rows, x.cols);
    await network.pick(copy, x, { size: x.cols, from: 0, step: x.cols });
    return copy;
  };
  const put = async (y: Matrix, outputNorm: Norm | undefined, sumNorm: Norm | undefined) => {
    if (outputNorm) await network.normalize(y, y, outputNorm);
    await network.add(x, y, residualScale);
    scope.free(y);
    if (sumNorm && normsAfterSum) await network.normalize(x, x, sumNorm);
  };
  const beside = parallel ? await read(feedForwardNorm ?? attentionNorm) : undefined;
  const attended = await attend(scope, passage, block, await read(attentionNorm));
  await put(attended, attentionOutputNorm, attentionNorm);
  const fed = await feed(scope, passage, block, beside ?? (await read(feedForwardNorm)));
  await put(fed, feedForwardOutputNorm, feedForwardNorm);
}

/** The attention of x, which is freed. */
async function attend(scope: Scope, passage: Passage, block: Block, x: Matrix): Promise<Matrix> {
  const input = await projections(scope, passage, block, x);
  scope.free(x);
  const out = passage.cache ? await passage.cache.attend(scope, input) : await inWindows(scope, passage, input);
  scope.free(input.query, input.key, input.value);
  const [y] = await linear(scope, out, [block.linears.output!]);
  scope.free(out);
  return y!;
}

async function inWindows(
  scope: Scope,
  { settings, lengths, rotationsOf }: Passage,
  input: AttentionInput,
): Promise<Matrix> {
  const { heads, headSize } = settings.attention;
  let row = 0;
  const spans = lengths.map((rows) => {
    const span = { row, rows, keyRow: row, keys: rows };
    row += rows;
    return span;
  });
  for (const { row, rows } of spans) {
    const rotated = rotationsOf(rows);
    if (rotated) for (const part of [input.query, input.key]) await rotate(scope, part, row, rows, headSize, rotated);
  }
  await scope.pause();
  const out = await scope.take(input.query.rows, heads * headSize);
  await scope.backend.network.attend(out, input, { ...settings.attention, spans, signal: scope.signal });
  return out;
}

/** Queries, keys and values of all heads, normalized where the block has norms for them. */
async function projections(scope: Scope, { network, settings }: Passage, block: Block, x: Matrix) {
  const [query, key, value] = await queriesKeysValues(scope, network, settings, block, x);
  const { queryNorm, keyNorm } = block.norms;
  if (queryNorm) await scope.backend.network.normalize(query, query, queryNorm);
  if (keyNorm) await scope.backend.network.normalize(key, key, keyNorm);
  return { query, key, value };
}

async function queriesKeysValues(
  scope: Scope,
  network: Network,
  { attention }: LayerSettings,
  { linears }: Block,
  x: Matrix,
): Promise<[query: Matrix, key: Matrix, value: Matrix]> {
  const { query, key, value, queryKeyValue } = linears;
  const outputs = await linear(scope, x, queryKeyValue ? [queryKeyValue] : [query!, key!, value!]);
  if (!queryKeyValue) return outputs as [Matrix, Matrix, Matrix];
  const parts = await splitFused(scope, outputs[0]!, attention, network.isFusedByHead);
  scope.free(...outputs);
  return parts;
}

/** The feed-forward part of x, which is freed. */
async function feed(scope: Scope, { settings }: Passage, block: Block, x: Matrix): Promise<Matrix> {
  const { activation, experts } = settings.feedForward;
  const { gate, up, gateUp, down, router, sharedGate, sharedUp, sharedDown } = block.linears;
  const shared = sharedDown && {
    part: { gate: sharedGate, up: sharedUp, down: sharedDown },
    weight: block.sharedWeight,
  };
  const y = experts
    ? await mixture(scope, x, { router: router!, experts: block.experts, shared }, experts, activation)
    : await feedForward(scope, x, { gate, up, gateUp, down: down! }, activation);
  scope.free(x);
  return y;
}
