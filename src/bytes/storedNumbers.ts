import { RankscopeError, throwIfCancelled } from '../base/errors.ts';
import { bitsOf, decoderOf, swapByteOrder } from './decode.ts';
import { CHUNK_BYTES } from './limits.ts';
import type { ByteSource } from './source/byteSource.ts';

/** Numbers stored in a source as they are in memory: in row-major order and without gaps, unless they have strides. */
export interface StoredNumbers {
  /** The tensor that they belong to, for error messages. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  /** Their size in bytes. */
  readonly bytes: number;
  readonly source: ByteSource;
  /** The offset of the first byte. */
  readonly offset: number;
  readonly bigEndian?: boolean | undefined;
  /** Strides in elements, if the order is not row-major; no two elements overlap. */
  readonly strides?: readonly number[] | undefined;
}

/**
 * Fills `out` with the stored bytes of contiguous numbers from byte `offset` on, in little-endian order, and returns
 * it.
 * @throws RankscopeError 'wrong-use' for a range beyond the numbers
 */
export async function readStoredBytes(
  tensor: StoredNumbers,
  offset: number,
  out: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const { source, offset: begin, bytes, name, bigEndian, dtype } = tensor;
  const { length } = out;
  if (!(offset >= 0 && length >= 0 && offset + length <= bytes))
    throw new RankscopeError('wrong-use', name, `bytes ${offset} to ${offset + length} of ${bytes} were asked for`);
  if (!bigEndian) {
    for (let at = 0; at < length; at += CHUNK_BYTES)
      await source.readInto(begin + offset + at, out.subarray(at, at + CHUNK_BYTES), signal);
    return out;
  }
  const size = bitsOf(dtype)! / 8;
  const first = Math.floor(offset / size) * size;
  const last = Math.ceil((offset + length) / size) * size;
  const whole = await source.read(begin + first, last - first, signal);
  swapByteOrder(whole, size);
  out.set(whole.subarray(offset - first, offset - first + length));
  return out;
}

/**
 * Decodes `out.length` elements from element `start`. F32 goes from the file straight into `out`; other types by
 * chunks, the next one being read while one is decoded.
 */
export async function readContiguous(
  tensor: StoredNumbers,
  start: number,
  out: Float32Array,
  signal?: AbortSignal,
): Promise<void> {
  const { source, dtype, name } = tensor;
  const decode = decoderOf(dtype);
  const size = bitsOf(dtype)! / 8;
  if (!(start >= 0 && (start + out.length) * size <= tensor.bytes))
    throw new RankscopeError('wrong-use', name, `elements ${start} to ${start + out.length} were asked for`);
  if (!Number.isInteger(start * size)) {
    // The range begins inside a byte, so reading starts one element earlier.
    const whole = new Float32Array(out.length + 1);
    await readContiguous(tensor, start - 1, whole, signal);
    out.set(whole.subarray(1));
    return;
  }
  const begin = tensor.offset + start * size;
  if (dtype === 'F32') {
    const bytes = new Uint8Array(out.buffer, out.byteOffset, out.byteLength);
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES)
      await source.readInto(begin + at, bytes.subarray(at, at + CHUNK_BYTES), signal);
    if (tensor.bigEndian) swapByteOrder(bytes, 4);
    return;
  }
  const step = Math.floor(CHUNK_BYTES / size);
  const read = (at: number) =>
    source.read(begin + at * size, Math.ceil(Math.min(step, out.length - at) * size), signal);
  let next: Promise<Uint8Array> | undefined;
  for (let at = 0; at < out.length; at += step) {
    const bytes = await (next ?? read(at));
    throwIfCancelled(signal, name);
    next = at + step < out.length ? read(at + step) : undefined;
    // The next iteration awaits it; until then a failure must not count as unhandled.
    next?.catch(() => {});
    if (tensor.bigEndian) swapByteOrder(bytes, size);
    decode(bytes, out.subarray(at, at + step));
  }
}
