import assert from 'node:assert/strict';
import { type ForwardRequest, forward } from '../../../src/network/forward.ts';
import type { Case } from './decoders.ts';

/** All logits of the windows, row-major, for the dense network and each variant. */
export async function logitsOf(request: Omit<ForwardRequest, 'take'>): Promise<Float32Array[]> {
  const { backend, windows, variants = [] } = request;
  const rows = windows.reduce((sum, { length }) => sum + length, 0);
  const whole: Float32Array[] = [];
  const take: ForwardRequest['take'] = async ({ row, column, vocabulary, logits }) => {
    for (const [k, matrix] of logits.entries()) {
      const values = await backend.download(matrix);
      whole[k] ??= new Float32Array(rows * vocabulary).fill(Number.NaN);
      for (let r = 0; r < matrix.rows; r++)
        whole[k].set(values.subarray(r * matrix.cols, (r + 1) * matrix.cols), (row + r) * vocabulary + column);
    }
  };
  await forward({ ...request, take });
  assert.equal(whole.length, 1 + variants.length);
  return whole;
}

/** The largest difference from the known logits, relative to the largest of them. */
export function differenceFrom({ rows, logits }: Case, own: Float32Array): number {
  const vocabulary = logits[0]!.length;
  return relativeDifference(
    rows.flatMap((row) => [...own.subarray(row * vocabulary, (row + 1) * vocabulary)]),
    logits.flat(),
  );
}

/** The largest difference, relative to the largest of the expected values. */
export function relativeDifference(own: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [largest, difference] = [0, own.length === expected.length ? 0 : Number.POSITIVE_INFINITY];
  for (let i = 0; i < expected.length; i++) {
    largest = Math.max(largest, Math.abs(expected[i]!));
    const own_ = Math.abs(own[i]! - expected[i]!);
    // NaN is larger than any tolerance.
    difference = own_ <= difference ? difference : Number.isNaN(own_) ? Number.POSITIVE_INFINITY : own_;
  }
  return difference / largest;
}
