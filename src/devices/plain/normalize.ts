import type { NormGradient, NormWeights } from '../networkOperations.ts';
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

/**
 * gradient <- that of x. With z the normalized entries before the weights and g the gradient times the weights, it is
 * (g - z mean(g z)) / deviation, and for the layer norm less mean(g) / deviation.
 */
export function normalizeBack(
  gradient: Values,
  x: Values,
  { kind, weight, bias, epsilon, ...norm }: NormWeights,
): NormGradient {
  const size = norm.size ?? weight.length;
  const sums = { weight: new Float64Array(weight.length), bias: bias && new Float64Array(weight.length) };
  for (let at = 0; at < x.length; at += size) {
    const first = at % weight.length;
    let sum = 0;
    if (kind === 'layer') for (let i = 0; i < size; i++) sum += x[at + i]!;
    const mean = sum / size;
    let squares = 0;
    for (let i = 0; i < size; i++) squares += (x[at + i]! - mean) ** 2;
    const scale = 1 / Math.sqrt(squares / size + epsilon);
    let [total, product] = [0, 0];
    for (let i = 0; i < size; i++) {
      const own = gradient[at + i]!;
      const z = (x[at + i]! - mean) * scale;
      sums.weight[first + i]! += own * z;
      if (sums.bias) sums.bias[first + i]! += own;
      total += own * weight[first + i]!;
      product += own * weight[first + i]! * z;
    }
    const shift = kind === 'layer' ? total / size : 0;
    for (let i = 0; i < size; i++) {
      const z = (x[at + i]! - mean) * scale;
      gradient[at + i] = scale * (gradient[at + i]! * weight[first + i]! - shift - (z * product) / size);
    }
  }
  return sums;
}
