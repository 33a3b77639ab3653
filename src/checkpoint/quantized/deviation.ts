import { elementCount } from '../../base/shape.ts';
import { spreadRanges } from '../../bytes/source/spreadRanges.ts';
import type { Tensor } from '../tensor.ts';
import { valuesIn } from './packed.ts';

/**
 * The deviation of the rounding error of `length` values from `start` on: the root of the mean d^2 / 12 over a sample of the steps d (Bennett
 * 1948; see gguf/rounding.ts). GPTQ makes later columns answer for the rounding of earlier ones, so its true deviation is somewhat above.
 */
export async function stepDeviation(
  steps: Tensor,
  shape: readonly number[],
  start: number,
  length: number,
  signal?: AbortSignal,
): Promise<number | undefined> {
  const [from, to] = stretchOf(steps, shape, start, length);
  let squares = 0;
  let count = 0;
  for (const [begin, some] of spreadRanges(to - from)) {
    for (const step of await valuesIn(steps, from + begin, some, signal)) squares += step * step;
    count += some;
  }
  return count > 0 ? Math.sqrt(squares / count / 12) : undefined;
}

function stretchOf(steps: Tensor, shape: readonly number[], start: number, length: number): [number, number] {
  const share = elementCount(steps.shape) / elementCount(shape);
  return [Math.floor(start * share), Math.ceil((start + length) * share)];
}
