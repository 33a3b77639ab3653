import type { LayerSettings } from '../configuration/decoder.ts';
import type { Network } from '../network.ts';
import { type AttentionInput, attention } from '../operations/attention.ts';
import { mixture } from '../operations/experts.ts';
import { feedForward } from '../operations/feedForward.ts';
import { linear } from '../operations/linear.ts';
import { type Norm, normalized } from '../operations/norm.ts';
import { sum } from '../operations/residual.ts';
import { type Rotations, rotate } from '../operations/rope.ts';
import { emptyRows, type Rows } from '../operations/rows.ts';
import type { Run } from '../operations/run.ts';
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

/** The residual stream behind a block. */
export async function applyBlock(passage: Passage, block: Block, x: Rows): Promise<Rows> {
  const { network } = passage;
  const { parallel, residualScale, normsAfterSum } = network.decoder;
  const { attentionNorm, attentionOutputNorm, feedForwardNorm, feedForwardOutputNorm } = block.norms;
  const [before, after] = normsAfterSum ? [undefined, normed] : [normed, undefined];
  const read = (stream: Rows, norm: Norm | undefined) => before?.(stream, norm) ?? stream;
  const attended = normed(await attend(passage, block, read(x, attentionNorm)), attentionOutputNorm);
  const added = sum(x, attended, residualScale);
  const middle = after?.(added, attentionNorm) ?? added;
  await passage.run.pause();
  const input = parallel ? read(x, feedForwardNorm ?? attentionNorm) : read(middle, feedForwardNorm);
  const fed = normed(await feed(passage, block, input), feedForwardOutputNorm);
  await passage.run.pause();
  const result = sum(middle, fed, residualScale);
  return after?.(result, feedForwardNorm) ?? result;
}

const normed = (x: Rows, norm: Norm | undefined): Rows => (norm ? normalized(x, norm) : x);

async function attend(passage: Passage, block: Block, x: Rows): Promise<Rows> {
  const input = await projections(passage, block, x);
  const out = passage.cache ? await passage.cache.attend(passage.run, input) : await inWindows(passage, input);
  const [y] = await linear(passage.run, out, [block.linears.output!]);
  return y!;
}

async function inWindows({ run, settings, lengths, rotationsOf }: Passage, input: AttentionInput): Promise<Rows> {
  const { heads, headSize } = settings.attention;
  const out = emptyRows(input.query.rows, heads * headSize);
  let first = 0;
  for (const length of lengths) {
    const rotated = rotationsOf(length);
    if (rotated) for (const rows of [input.query, input.key]) rotate(rows, first, length, headSize, rotated);
    await attention(run, input, first, length, settings.attention, out);
    first += length;
  }
  return out;
}

/** Queries, keys and values of all heads, normalized where the block has norms for them. */
async function projections({ run, network, settings }: Passage, block: Block, x: Rows): Promise<AttentionInput> {
  const { query, key, value, queryKeyValue } = block.linears;
  const layers = queryKeyValue ? [queryKeyValue] : [query!, key!, value!];
  const outputs = await linear(run, x, layers);
  const [q, k, v] = queryKeyValue
    ? splitFused(outputs[0]!, settings.attention, network.isFusedByHead)
    : (outputs as [Rows, Rows, Rows]);
  return { query: normed(q, block.norms.queryNorm), key: normed(k, block.norms.keyNorm), value: v };
}

function feed({ run, settings }: Passage, block: Block, x: Rows): Promise<Rows> {
  const { activation, experts } = settings.feedForward;
  const { gate, up, gateUp, down, router, sharedGate, sharedUp, sharedDown } = block.linears;
  if (!experts) return feedForward(run, x, { gate, up, gateUp, down: down! }, activation);
  const shared = sharedDown && {
    part: { gate: sharedGate, up: sharedUp, down: sharedDown },
    weight: block.sharedWeight,
  };
  return mixture(run, x, { router: router!, experts: block.experts, shared }, experts, activation);
}
