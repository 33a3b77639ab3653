import { spreadRanges } from '../../bytes/source/spreadRanges.ts';
import { descriptionOf, type Tensor } from '../../checkpoint/tensor.ts';

/** How many scales are read at a time. */
const SCALES_AT_ONCE = 1 << 16;

/** The tensor of the I8 `codes` q, of which each `groupSize` consecutive ones share an F32 scale: value = q * scale. */
export function groupedTensor(codes: Tensor, scales: Tensor, groupSize: number): Tensor {
  return {
    ...descriptionOf(codes),
    dtype: 'F32 (I8)',
    bytes: codes.bytes + scales.bytes,
    async read(start, out, signal) {
      await codes.read(start, out, signal);
      const step = SCALES_AT_ONCE * groupSize;
      for (let from = 0; from < out.length; from += step) {
        const to = Math.min(out.length, from + step);
        const first = Math.floor((start + from) / groupSize);
        const factors = new Float32Array(Math.floor((start + to - 1) / groupSize) + 1 - first);
        await scales.read(first, factors, signal);
        for (let i = from; i < to; i++) out[i] = out[i]! * factors[Math.floor((start + i) / groupSize) - first]!;
      }
    },
    // Rounding to evenly spaced levels leaves an error that is uniform over one step, with the variance step^2 / 12.
    async deviation(start, length, signal) {
      const first = Math.floor(start / groupSize);
      const groups = Math.ceil((start + length) / groupSize) - first;
      let [sum, count] = [0, 0];
      for (const [at, sampled] of spreadRanges(groups)) {
        const factors = new Float32Array(sampled);
        await scales.read(first + at, factors, signal);
        for (const factor of factors) sum += factor * factor;
        count += sampled;
      }
      return count > 0 ? Math.sqrt(sum / count / 12) : undefined;
    },
  };
}
