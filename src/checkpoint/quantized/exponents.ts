import type { Tensor } from '../tensor.ts';
import { bytesIn } from './packed.ts';

/** Scales that are exponents in one byte each, with a bias of 127; 255 is NaN (E8M0 of OCP MX). */
export async function powersOfTwo(
  scales: Tensor,
  start: number,
  count: number,
  signal?: AbortSignal,
): Promise<Float32Array> {
  return Float32Array.from(await bytesIn(scales, start, count, signal), powerOfTwo);
}

/** The value of one exponent. */
export function powerOfTwo(exponent: number): number {
  return exponent === 255 ? Number.NaN : 2 ** (exponent - 127);
}
