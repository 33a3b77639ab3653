import { spreadRanges } from '../../bytes/source/spreadRanges.ts';
import type { ReadableTensor } from '../../checkpoint/ownReading.ts';
import { readStoredTensor, type StoredTensor } from '../../checkpoint/storedCheckpoint.ts';

/** Scales read at once. */
const AT_ONCE = 1 << 16;

/** A tensor of I8 numbers whose every `groupSize` that follow each other have an F32 scale of their own: value = q scale. */
export function groupedTensor(numbers: StoredTensor, scales: StoredTensor, groupSize: number): ReadableTensor {
  return {
    ...numbers,
    dtype: 'F32 (I8)',
    bytes: numbers.bytes + scales.bytes,
    async readValues(start, out, signal) {
      await readStoredTensor(numbers, start, out, signal);
      const step = AT_ONCE * groupSize;
      for (let from = 0; from < out.length; from += step) {
        const to = Math.min(out.length, from + step);
        const first = Math.floor((start + from) / groupSize);
        const factors = new Float32Array(Math.floor((start + to - 1) / groupSize) + 1 - first);
        await readStoredTensor(scales, first, factors, signal);
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
        await readStoredTensor(scales, first + at, factors, signal);
        for (const factor of factors) sum += factor * factor;
        count += some;
      }
      return count > 0 ? Math.sqrt(sum / count / 12) : undefined;
    },
  };
}
