import type { AttentionInput, Matrix } from '../../devices/backend.ts';
import type { LayerSettings } from '../configuration/decoder.ts';
import type { Network } from '../network.ts';
import { beginMixing, type Mixing, mixExpert } from '../operations/experts.ts';
import { type FeedForward, feedForward } from '../operations/feedForward.ts';
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

/** The residual stream behind a block; its experts, if it has any, are in device memory with it. */
export async function applyBlock(passage: Passage, block: Block, rows: Rows): Promise<Rows> {
  if (passage.settings.feedForward.experts) {
    const entered = await enterMixture(passage, block, rows);
    for (const [k, expert] of block.experts.entries()) await passExpert(passage, entered, k, expert);
    return leaveMixture(passage, block, entered);
  }
  return withScope(passage.run, async (scope) => {
    const x = await scope.upload(rows);
    const input = await addAttention(scope, passage, block, x);
    const { gate, up, gateUp, down } = block.linears;
    const part = { gate, up, gateUp, down: down! };
    const fed = await feedForward(scope, input, part, passage.settings.feedForward.activation);
    scope.free(input);
    await addFed(scope, passage, block, x, fed);
    return scope.download(x);
  });
}

/** Rows between the attention of a block and the sum of its experts. */
export interface Entered {
  /** The residual stream behind the attention. */
  readonly stream: Rows;
  readonly mixing: Mixing;
}

/** Passes a block up to its experts. */
export function enterMixture(passage: Passage, block: Block, rows: Rows): Promise<Entered> {
  const { experts, activation } = passage.settings.feedForward;
  const { router, sharedGate, sharedUp, sharedDown } = block.linears;
  const part = sharedDown && { gate: sharedGate, up: sharedUp, down: sharedDown };
  const shared = part && { part, weight: block.sharedWeight };
  return withScope(passage.run, async (scope) => {
    const x = await scope.upload(rows);
    const input = await addAttention(scope, passage, block, x);
    const mixing = await beginMixing(scope, input, router!, shared, experts!, activation);
    return { stream: await scope.download(x), mixing };
  });
}

/** Passes the rows that chose an expert through it. */
export function passExpert(passage: Passage, entered: Entered, number: number, expert: FeedForward): Promise<void> {
  return mixExpert(passage.run, entered.mixing, number, expert, passage.settings.feedForward.activation);
}

/** The residual stream behind a block of whose experts all have passed. */
export function leaveMixture(passage: Passage, block: Block, { stream, mixing }: Entered): Promise<Rows> {
  return withScope(passage.run, async (scope) => {
    const x = await scope.upload(stream);
    await addFed(scope, passage, block, x, await scope.upload(mixing.sum));
    return scope.download(x);
  });
}

/** Adds the attention to the residual stream x; returns what the feed-forward part reads. */
async function addAttention(scope: Scope, passage: Passage, block: Block, x: Matrix): Promise<Matrix> {
  const { parallel, normsAfterSum } = passage.network.decoder;
  const { attentionNorm, attentionOutputNorm, feedForwardNorm } = block.norms;
  const read = async (norm: Norm | undefined) => {
    if (norm && !normsAfterSum) return normalized(scope, x, norm);
    const copy = await scope.take(x.rows, x.cols);
    await scope.backend.network.pick(copy, x, { size: x.cols, from: 0, step: x.cols });
    return copy;
  };
  const beside = parallel ? await read(feedForwardNorm ?? attentionNorm) : undefined;
  const attended = await attend(scope, passage, block, await read(attentionNorm));
  await addPart(scope, passage, x, attended, attentionOutputNorm, attentionNorm);
  return beside ?? read(feedForwardNorm);
}

function addFed(scope: Scope, passage: Passage, { norms }: Block, x: Matrix, fed: Matrix): Promise<void> {
  return addPart(scope, passage, x, fed, norms.feedForwardOutputNorm, norms.feedForwardNorm);
}

/** Adds y, which is freed, to the residual stream x. */
async function addPart(
  { backend: { network }, free }: Scope,
  passage: Passage,
  x: Matrix,
  y: Matrix,
  outputNorm: Norm | undefined,
  sumNorm: Norm | undefined,
): Promise<void> {
  const { residualScale, normsAfterSum } = passage.network.decoder;
  if (outputNorm) await network.normalize(y, y, outputNorm);
  await network.add(x, y, residualScale);
  free(y);
  if (sumNorm && normsAfterSum) await network.normalize(x, x, sumNorm);
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
