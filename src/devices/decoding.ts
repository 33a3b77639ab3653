import { decodeFloats, ENCODED_BYTES, type Encoding } from '../base/encoding.ts';
import type { Backend, EntrySums, Matrix } from './backend.ts';

/** The number by which kernels know an encoding (`cpu/kernels/decode.ts`, `webgpu/kernels/decode.wgsl`). */
export const KERNEL_ENCODING: Readonly<Record<Encoding, number>> = { F32: 0, BF16: 1, F16: 2, F8_E4M3: 3, F8_E5M2: 4 };

/** `Backend.uploadStored` for devices without decoding kernels: the processor decodes to f32 and uploads that. */
export async function decodeOnHost(
  { upload }: Pick<Backend, 'upload'>,
  matrix: Matrix,
  row: number,
  rows: number,
  encoding: Encoding,
  fill: (out: Uint8Array) => Promise<void> | void,
): Promise<EntrySums> {
  const bytes = new Uint8Array(rows * matrix.cols * ENCODED_BYTES[encoding]);
  let sums: EntrySums = { squares: 0, largest: 0 };
  await upload(matrix, row, rows, async (out) => {
    await fill(bytes);
    decodeFloats(encoding, bytes, out);
    sums = sumsOf(out);
  });
  return sums;
}

function sumsOf(entries: Float32Array): EntrySums {
  let squares = 0;
  let largest = 0;
  for (const entry of entries) {
    squares += entry * entry;
    largest = Math.max(largest, Math.abs(entry));
  }
  return { squares, largest: largest === Number.POSITIVE_INFINITY ? Number.NaN : largest };
}
