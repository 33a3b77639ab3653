import { RankscopeError } from '../../base/errors.ts';
import { bitsOf, swapByteOrder } from '../../bytes/decode.ts';
import type { StoredTensor } from '../../checkpoint/storedTensor.ts';

/** Whether `exactNumbers` can read a tensor. */
export function isExact({ dtype, strides }: StoredTensor): boolean {
  return strides === undefined && NUMBERS.has(dtype);
}

/** Reads 32- and 64-bit numbers as f64, which is exact up to 2^53; f32 would round scales, and indices above 2^24. */
export async function exactNumbers(
  tensor: StoredTensor,
  start: number,
  length: number,
  signal?: AbortSignal,
): Promise<Float64Array> {
  const { name, dtype, source, offset, bigEndian } = tensor;
  const from = isExact(tensor) ? NUMBERS.get(dtype) : undefined;
  if (!from)
    throw new RankscopeError(
      'unsupported',
      name,
      `it depends on a tensor of type ${dtype} that is stored in an unusual way`,
    );
  const size = bitsOf(dtype)! / 8;
  const bytes = new Uint8Array(length * size);
  await source.readInto(offset + start * size, bytes, signal);
  if (bigEndian) swapByteOrder(bytes, size);
  return from(bytes.buffer);
}

const NUMBERS: ReadonlyMap<string, (buffer: ArrayBuffer) => Float64Array> = new Map([
  ['F64', (buffer: ArrayBuffer) => new Float64Array(buffer)],
  ['F32', (buffer: ArrayBuffer) => Float64Array.from(new Float32Array(buffer))],
  ['I64', (buffer: ArrayBuffer) => Float64Array.from(new BigInt64Array(buffer), Number)],
  ['I32', (buffer: ArrayBuffer) => Float64Array.from(new Int32Array(buffer))],
]);
