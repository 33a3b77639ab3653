import { RankscopeError, throwIfCancelled } from '../base/errors.ts';
import { elementCount } from '../base/shape.ts';
import { bitsOf, decoderOf, swapByteOrder } from './decode.ts';
import { CHUNK_BYTES } from './limits.ts';
import type { StoredNumbers } from './storedNumbers.ts';
import { bySmallestStride, rowMajor } from './strides.ts';

/**
 * Decodes the elements [start, start + out.length), counted in row-major order, of a tensor that is stored in another
 * order. Goes through the elements in storage order, so that each byte of the file is read at most once per call,
 * whatever the strides.
 */
export async function readStrided(
  tensor: StoredNumbers,
  start: number,
  out: Float32Array,
  signal?: AbortSignal,
): Promise<void> {
  const { shape, strides = rowMajor(shape), name, dtype } = tensor;
  const count = elementCount(shape);
  const end = start + out.length;
  if (!(start >= 0 && end <= count))
    throw new RankscopeError('wrong-use', name, `elements ${start} to ${end} were asked for`);
  if (out.length === 0) return;
  const steps = rowMajor(shape);
  // The first dimension is limited to the rows that are wanted; the others run in full, and elements outside the range
  // are skipped.
  const loops = bySmallestStride(shape, strides)
    .reverse()
    .map(({ size, stride, dimension }) => {
      const step = steps[dimension]!;
      const [from, to] = dimension === 0 ? [Math.floor(start / step), Math.ceil(end / step)] : [0, size];
      return { from, to, stride, step };
    });
  const window = storedWindow(tensor, decoderOf(dtype), bitsOf(dtype)! / 8, signal);
  const inner = loops.pop() ?? { from: 0, to: 1, stride: 1, step: 1 };
  const at = loops.map((loop) => loop.from);
  for (;;) {
    let place = inner.from * inner.stride;
    let index = inner.from * inner.step;
    for (const [i, { stride, step }] of loops.entries()) {
      place += at[i]! * stride;
      index += at[i]! * step;
    }
    const last = place + (inner.to - inner.from - 1) * inner.stride;
    for (let i = inner.from; i < inner.to; ) {
      throwIfCancelled(signal, name);
      const { first, values } = await window(place, last);
      for (; i < inner.to && place < first + values.length; i++) {
        if (index >= start && index < end) out[index - start] = values[place - first]!;
        place += inner.stride;
        index += inner.step;
      }
    }
    let turn = loops.length - 1;
    while (turn >= 0 && ++at[turn]! >= loops[turn]!.to) at[turn] = loops[turn--]!.from;
    if (turn < 0) return;
  }
}

/** A window of decoded elements of the storage, which moves forward as later ones are requested. */
function storedWindow(
  { source, offset, bigEndian, shape, strides = [], bytes: _ }: StoredNumbers,
  decode: (bytes: Uint8Array, out: Float32Array) => void,
  size: number,
  signal: AbortSignal | undefined,
) {
  const reach = shape.reduce((sum, length, i) => sum + (length - 1) * strides[i]!, 1);
  let window = { first: 0, values: new Float32Array(0) };
  return async (place: number, last: number) => {
    if (place >= window.first && place < window.first + window.values.length) return window;
    // A single element does not need a whole chunk, but the next runs are usually close by.
    const length = Math.min(reach - place, Math.max(last - place + 1, Math.floor(CHUNK_BYTES / size)), CHUNK_BYTES / 4);
    const bytes = await source.read(offset + place * size, length * size, signal);
    if (bigEndian) swapByteOrder(bytes, size);
    const values = new Float32Array(length);
    decode(bytes, values);
    window = { first: place, values };
    return window;
  };
}
