import type { Matrix } from '../../devices/backend.ts';
import type { Activation } from '../configuration/decoder.ts';
import { activate } from './activation.ts';
import { type Linear, linear } from './linear.ts';
import type { Scope } from './run.ts';
import { splitHalves } from './splitFused.ts';

/** The projections of a feed-forward part. Without a gate, the activation is that of the up projection. */
export interface FeedForward {
  readonly gate?: Linear | undefined;
  readonly up?: Linear | undefined;
  /** Gate and up projection in one, the gate's outputs first. */
  readonly gateUp?: Linear | undefined;
  readonly down: Linear;
}

/** y = down(f(gate(x)) * up(x)) (Shazeer, arXiv 2002.05202), or down(f(up(x))). */
export async function feedForward(scope: Scope, x: Matrix, part: FeedForward, f: Activation): Promise<Matrix> {
  const inner = await innerRows(scope, x, part, f);
  const [y] = await linear(scope, inner, [part.down]);
  scope.free(inner);
  return y!;
}

async function innerRows(scope: Scope, x: Matrix, part: FeedForward, f: Activation): Promise<Matrix> {
  const [left, right] = await projected(scope, x, part);
  await activate(scope, left, f, right);
  if (right) scope.free(right);
  return left;
}

async function projected(
  scope: Scope,
  x: Matrix,
  { gate, up, gateUp }: FeedForward,
): Promise<[left: Matrix, right: Matrix | undefined]> {
  const layers = [gate, up, gateUp].filter((layer) => layer !== undefined);
  const [first, second] = await linear(scope, x, layers);
  if (!gateUp) return [first!, second];
  const halves = await splitHalves(scope, first!);
  scope.free(first!);
  return halves;
}
