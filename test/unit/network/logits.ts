import { type ForwardRequest, forward } from '../../../src/network/forward.ts';
import type { Case } from './decoders.ts';

/** All logits of the windows, row-major, for the dense network and each variant. */
export async function logitsOf(request: Omit<ForwardRequest, 'take'>): Promise<Float32Array[]> {
  const slices: Float32Array[][] = [];
  await forward({ ...request, take: ({ logits }) => void slices.push([...logits]) });
  return slices[0]!.map((_, stream) => Float32Array.from(slices.flatMap((slice) => [...slice[stream]!])));
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
