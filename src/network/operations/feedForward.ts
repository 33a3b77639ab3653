import type { Activation } from '../configuration/decoder.ts';
import { activate } from './activation.ts';
import { type Linear, linear } from './linear.ts';
import { emptyRows, type Rows } from './rows.ts';
import type { Run } from './run.ts';

/** The projections of a feed-forward part. Without a gate, the activation is that of the up projection. */
export interface FeedForward {
  readonly gate?: Linear | undefined;
  readonly up?: Linear | undefined;
  /** Gate and up projection in one, the gate's outputs first. */
  readonly gateUp?: Linear | undefined;
  readonly down: Linear;
}

/** y = down(f(gate(x)) * up(x)) (Shazeer, arXiv 2002.05202), or down(f(up(x))). */
export async function feedForward(run: Run, x: Rows, part: FeedForward, f: Activation): Promise<Rows> {
  const inner = await innerRows(run, x, part, f);
  const [y] = await linear(run, inner, [part.down]);
  return y!;
}

async function innerRows(run: Run, x: Rows, { gate, up, gateUp }: FeedForward, f: Activation): Promise<Rows> {
  const projections = [gate, up, gateUp].filter((layer) => layer !== undefined);
  const [first, second] = await linear(run, x, projections);
  const [left, right] = gateUp ? halves(first!) : [first!, second];
  activate(left, f);
  if (right) for (let i = 0; i < left.values.length; i++) left.values[i]! *= right.values[i]!;
  return left;
}

function halves({ rows, cols, values }: Rows): [Rows, Rows] {
  const size = cols / 2;
  const parts: [Rows, Rows] = [emptyRows(rows, size), emptyRows(rows, size)];
  for (let row = 0; row < rows; row++)
    for (const [k, part] of parts.entries()) {
      const from = row * cols + k * size;
      part.values.set(values.subarray(from, from + size), row * size);
    }
  return parts;
}
