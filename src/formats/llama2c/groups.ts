import { spreadRanges } from '../../bytes/source/spreadRanges.ts';
import { descriptionOf, type Tensor } from '../../checkpoint/tensor.ts';

/** Scales read at once. */
const AT_ONCE = 1 << 16;

/** A tensor of I8 numbers whose every `groupSize` that follow each other have an F32 scale of their own: value = q scale. */
export function groupedTensor(numbers: Tensor, scales: Tensor, groupSize: number): Tensor {
  return {
    ...descriptionOf(numbers),
    dtype: 'F32 (I8)',
    bytes: numbers.bytes + scales.bytes,
    async read(start, out, signal) {
      await numbers.read(start, out, signal);
      const step = AT_ONCE * groupSize;
      for (let from = 0; from < out.length; from += step) {
        const to = Math.min(out.length, from + step);
        const first = Math.floor((start + from) / groupSize);
        const factors = new Float32Array(Math.floor((start + to - 1) / groupSize) + 1 - first);
        await scales.read(first, factors, signal);
        for (let i = from; i < to; i++) out[i] = out[i]! * factors[Math.floor((start + i) / groupSize) - first]!;
      }
    },
    // Rounding to steps of one width leaves errors spread evenly over it.
    async deviation(start, length, signal) {
      const first = Math.floor(start / groupSize);
      const groups = Math.ceil((start + length) / groupSize) - first;
      let [sum, count] = [0, 0];
      for (const [at, some] of spreadRanges(groups)) {
        const factors = new Float32Array(some);
        await scales.read(first + at, factors, signal);
        for (const factor of factors) sum += factor * factor;
        count += some;
      }
      return count > 0 ? Math.sqrt(sum / count / 12) : undefined;
    },
  };
}
