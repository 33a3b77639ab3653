import type { NormWeights } from '../networkOperations.ts';
import type { Values } from './values.ts';

/**
 * Each stretch of `size` entries by itself: the RMS norm (Zhang and Sennrich, arXiv 1910.07467) or the layer
 * norm (Ba, Kiros, Hinton, arXiv 1607.06450).
 */
export function normalize(out: Values, x: Values, { kind, weight, bias, epsilon, ...norm }: NormWeights): void {
  const size = norm.size ?? weight.length;
  for (let at = 0; at < x.length; at += size) {
    let sum = 0;
    if (kind === 'layer') for (let i = 0; i < size; i++) sum += x[at + i]!;
    const mean = sum / size;
    let squares = 0;
    for (let i = 0; i < size; i++) squares += (x[at + i]! - mean) ** 2;
    const scale = 1 / Math.sqrt(squares / size + epsilon);
    const first = at % weight.length;
    for (let i = 0; i < size; i++)
      out[at + i] = (x[at + i]! - mean) * scale * weight[first + i]! + (bias?.[first + i] ?? 0);
  }
}
