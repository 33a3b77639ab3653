import type { LayerFactors } from '../../adapters/writing/layers.ts';
import type { Pause } from '../../base/eventLoop.ts';
import { productSvd, type SmallSvd } from '../../spectrum/smallSvd.ts';

/** The singular triplets of scale B A in f64, without forming it. */
export async function thinSvd(factors: LayerFactors, pause: Pause): Promise<SmallSvd> {
  const { up, down, outputs, inputs, rank, scale } = factors;
  const found = await productSvd(
    Array.from({ length: rank }, (_, k) => Float64Array.from({ length: outputs }, (_, i) => up[i * rank + k]!)),
    Array.from({ length: rank }, (_, k) => Float64Array.from({ length: inputs }, (_, j) => down[k * inputs + j]!)),
    pause,
  );
  if (scale >= 0) return { ...found, values: found.values.map((value) => value * scale) };
  const turned = found.left.map((column) => column.map((value) => -value));
  return { ...found, left: turned, values: found.values.map((value) => value * -scale) };
}

/**
 * Factors of the leading triplets with scale 1: the square roots of the singular values go to both, so that neither
 * overflows a short type. Rank 1 with zeros for a zero matrix, because no loader takes rank 0.
 */
export function factorsOfTriplets(
  { left, values, right }: SmallSvd,
  wanted: number,
  [outputs, inputs]: readonly [number, number],
): LayerFactors {
  const rank = Math.max(1, Math.min(wanted, values.length));
  const up = new Float64Array(outputs * rank);
  const down = new Float64Array(rank * inputs);
  for (let k = 0; k < Math.min(rank, values.length); k++) {
    const root = Math.sqrt(values[k]!);
    for (let i = 0; i < outputs; i++) up[i * rank + k] = root * left[k]![i]!;
    for (let j = 0; j < inputs; j++) down[k * inputs + j] = root * right[k]![j]!;
  }
  return { up, down, outputs, inputs, rank, scale: 1 };
}

/** ||values behind the first `rank`|| / ||values||; null for a zero matrix. */
export function truncationError(values: Float64Array, rank: number): number | null {
  let [tail, total] = [0, 0];
  for (let k = values.length - 1; k >= 0; k--) {
    total += values[k]! ** 2;
    if (k === rank) tail = total;
  }
  return total > 0 ? Math.sqrt(tail / total) : null;
}
