import type { AttentionInput, Matrix } from '../../devices/backend.ts';
import type { LayerSettings } from '../configuration/decoder.ts';
import type { Network } from '../network.ts';
import { attention } from '../operations/attention.ts';
import { beginMixing, endMixing, type Mixing, mixExpert, type SharedExpert } from '../operations/experts.ts';
import { type FeedForward, feedForward } from '../operations/feedForward.ts';
import { linear } from '../operations/linear.ts';
import { type Norm, normalize, normalized } from '../operations/norm.ts';
import { addTo, copied } from '../operations/residual.ts';
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

/**
 * The residual stream behind a block; its experts, if it has any, are in device memory with it.
 * @param mayReuse whether nobody else needs the array of `rows`, so that it may hold the result: new ones of many
 *   megabytes each keep the garbage collector busy
 */
export async function applyBlock(passage: Passage, block: Block, rows: Rows, mayReuse = false): Promise<Rows> {
  return withScope(passage.run, async (scope) => {
    const x = await scope.upload(rows);
    await passStream(scope, passage, block, x);
    return scope.download(x, mayReuse ? rows.values : undefined);
  });
}

/** The same for a residual stream in device memory, in place. */
export async function passStream(scope: Scope, passage: Passage, block: Block, x: Matrix): Promise<void> {
  const input = await addAttention(scope, passage, block, x);
  const fed = await feed(scope, passage, block, input);
  scope.free(input);
  await addFed(scope, passage, block, x, fed);
}

async function feed(scope: Scope, { settings }: Passage, block: Block, input: Matrix): Promise<Matrix> {
  const { experts, activation } = settings.feedForward;
  const { gate, up, gateUp, down } = block.linears;
  if (!experts) return feedForward(scope, input, { gate, up, gateUp, down: down! }, activation);
  const mixing = await beginMixing(scope, input, block.linears.router!, sharedExpert(block), experts, activation);
  for (const [number, expert] of block.experts.entries()) await mixExpert(scope, mixing, number, expert, activation);
  return endMixing(scope, mixing);
}

function sharedExpert({ linears, sharedWeight }: Block): SharedExpert | undefined {
  const { sharedGate, sharedUp, sharedDown } = linears;
  return sharedDown && { part: { gate: sharedGate, up: sharedUp, down: sharedDown }, weight: sharedWeight };
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
  return withScope(passage.run, async (scope) => {
    const x = await scope.upload(rows);
    const input = await addAttention(scope, passage, block, x);
    const mixing = await beginMixing(scope, input, block.linears.router!, sharedExpert(block), experts!, activation);
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
    await addFed(scope, passage, block, x, await endMixing(scope, mixing));
    return scope.download(x);
  });
}

/** Adds the attention to the residual stream x; returns what the feed-forward part reads. */
async function addAttention(scope: Scope, passage: Passage, block: Block, x: Matrix): Promise<Matrix> {
  const { parallel, normsAfterSum } = passage.network.decoder;
  const { attentionNorm, attentionOutputNorm, feedForwardNorm } = block.norms;
  const read = (norm: Norm | undefined) => (norm && !normsAfterSum ? normalized(scope, x, norm) : copied(scope, x));
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
  scope: Scope,
  passage: Passage,
  x: Matrix,
  y: Matrix,
  outputNorm: Norm | undefined,
  sumNorm: Norm | undefined,
): Promise<void> {
  const { residualScale, normsAfterSum } = passage.network.decoder;
  if (outputNorm) await normalize(scope, y, outputNorm);
  await addTo(scope, x, y, residualScale);
  scope.free(y);
  if (sumNorm && normsAfterSum) await normalize(scope, x, sumNorm);
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
  const { headSize } = settings.attention;
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
  return attention(scope, input, { ...settings.attention, spans });
}

/** Queries, keys and values of all heads, normalized where the block has norms for them. */
async function projections(scope: Scope, { network, settings }: Passage, block: Block, x: Matrix) {
  const [query, key, value] = await queriesKeysValues(scope, network, settings, block, x);
  const { queryNorm, keyNorm } = block.norms;
  if (queryNorm) await normalize(scope, query, queryNorm);
  if (keyNorm) await normalize(scope, key, keyNorm);
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
