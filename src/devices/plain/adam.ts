import type { AdamStep } from '../networkOperations.ts';
import type { Values } from './values.ts';

/** Kingma and Ba, "Adam: A Method for Stochastic Optimization", arXiv 1412.6980, with the constants given there. */
export const ADAM = { keptOfFirst: 0.9, keptOfSecond: 0.999, epsilon: 1e-8 };

/** The step that the first moment is multiplied with, and the factor of the root of the second. */
export function corrections({ rate, step }: AdamStep): { readonly size: number; readonly root: number } {
  return {
    size: rate / (1 - ADAM.keptOfFirst ** step),
    root: 1 / Math.sqrt(1 - ADAM.keptOfSecond ** step),
  };
}

/** One step on x; returns the sum of squares of the gradient. */
export function adam(x: Values, gradient: Values, first: Values, second: Values, step: AdamStep): number {
  const { keptOfFirst, keptOfSecond, epsilon } = ADAM;
  const { size, root } = corrections(step);
  let squares = 0;
  for (let i = 0; i < x.length; i++) {
    const own = gradient[i]!;
    squares += own * own;
    first[i] = keptOfFirst * first[i]! + (1 - keptOfFirst) * own;
    second[i] = keptOfSecond * second[i]! + (1 - keptOfSecond) * own * own;
    x[i]! -= (size * first[i]!) / (root * Math.sqrt(second[i]!) + epsilon);
  }
  return squares;
}
