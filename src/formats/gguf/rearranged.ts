import { RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import { CHUNK_BYTES } from '../../bytes/limits.ts';
import type { Tensor, TensorDescription } from '../../checkpoint/tensor.ts';

/** How the elements of a rearranged tensor correspond to those of its origin. */
export type Arrangement =
  /** Row r is row `rowAt(r)` of the origin. A bias vector has rows of one element. */
  | { readonly kind: 'rows'; readonly cols: number; rowAt(row: number): number }
  /** The transpose of an origin of `rows` x `cols`. */
  | { readonly kind: 'transposed'; readonly rows: number; readonly cols: number };

/** How a tensor is derived from another one. */
export interface Rearrangement extends TensorDescription {
  readonly origin: Tensor;
  /** The element of the origin at which the tensor begins, for a slice of a stack. */
  readonly offset: number;
  readonly arrangement?: Arrangement;
  /** Added to each value. */
  readonly plus?: number;
}

/** A tensor whose values come from another one. Reading takes a few rows or a few MB of memory besides `out`. */
export function rearranged({ origin, offset, arrangement, plus, ...description }: Rearrangement): Tensor {
  const { name, shape, bytes } = description;
  const { readStored, deviation } = origin;
  const size = bytes / elementCount(shape);
  return {
    ...description,
    async read(start, out, signal) {
      const read = (element: number, part: Float32Array) => origin.read(offset + element, part, signal);
      await gather(name, arrangement, start, out, 1, read, signal);
      if (plus !== undefined) for (let i = 0; i < out.length; i++) out[i]! += plus;
    },
    ...(readStored &&
      plus === undefined && {
        async readStored(start, out, signal) {
          const read = async (element: number, part: Uint8Array) => {
            await readStored.call(origin, (offset + element) * size, part, signal);
          };
          const first = Math.floor(start / size);
          const last = Math.ceil((start + out.length) / size);
          const isWhole = start === first * size && start + out.length === last * size;
          const elements = isWhole ? out : new Uint8Array((last - first) * size);
          await gather(name, arrangement, first, elements, size, read, signal);
          if (!isWhole) out.set(elements.subarray(start - first * size, start - first * size + out.length));
          return out;
        },
      }),
    ...(deviation && {
      deviation: (start, length, signal) => deviation.call(origin, offset + start, length, signal),
    }),
  };
}

/** Fills `out`, with `width` entries per element, from element `start` of the arranged tensor on. */
async function gather<Values extends Float32Array | Uint8Array>(
  name: string,
  arrangement: Arrangement | undefined,
  start: number,
  out: Values,
  width: number,
  read: (element: number, part: Values) => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const part = (from: number, to: number) => out.subarray(from * width, to * width) as Values;
  const end = start + out.length / width;
  if (!Number.isInteger(end)) throw new RankscopeError('wrong-use', name, 'a part of an element was asked for');
  if (!arrangement) return read(start, out);
  const { cols } = arrangement;
  const lines = Math.max(1, Math.floor(CHUNK_BYTES / (cols * width * out.BYTES_PER_ELEMENT)));
  if (arrangement.kind === 'rows') {
    for (let at = start; at < end; ) {
      throwIfCancelled(signal, name);
      const stop = Math.min(end, (Math.floor(at / cols) + lines) * cols);
      await gatherRows(arrangement, at, part(at - start, stop - start), width, read);
      at = stop;
    }
    return;
  }
  const { rows } = arrangement;
  for (let first = 0; first < rows; first += lines) {
    throwIfCancelled(signal, name);
    const count = Math.min(lines, rows - first);
    const block = new (out.constructor as new (length: number) => Values)(count * cols * width);
    await read(first * cols, block);
    for (let col = Math.floor(start / rows); col * rows < end; col++) {
      const from = Math.max(start, col * rows + first);
      const to = Math.min(end, col * rows + first + count);
      for (let at = from; at < to; at++) {
        const cell = ((at - col * rows - first) * cols + col) * width;
        for (let k = 0; k < width; k++) out[(at - start) * width + k] = block[cell + k]!;
      }
    }
  }
}

/** Fills `out` from element `start` on with rows of the origin, in one read if they lie close together. */
async function gatherRows<Values extends Float32Array | Uint8Array>(
  { cols, rowAt }: Extract<Arrangement, { kind: 'rows' }>,
  start: number,
  out: Values,
  width: number,
  read: (element: number, part: Values) => Promise<void>,
): Promise<void> {
  const end = start + out.length / width;
  const first = Math.floor(start / cols);
  const origins = Array.from({ length: Math.ceil(end / cols) - first }, (_, row) => rowAt(first + row));
  const lowest = origins.reduce((least, row) => Math.min(least, row), Number.POSITIVE_INFINITY);
  const span = origins.reduce((most, row) => Math.max(most, row), 0) - lowest + 1;
  /** Where the wanted part of a row begins and ends. */
  const bounds = (row: number) =>
    [Math.max(start, (first + row) * cols), Math.min(end, (first + row + 1) * cols)] as const;
  if (origins.every((origin, row) => origin === lowest + row)) return read(start + (lowest - first) * cols, out);
  // A read takes longer than decoding a few rows that nobody wants.
  if (span <= 2 * origins.length) {
    const block = new (out.constructor as new (length: number) => Values)(span * cols * width);
    await read(lowest * cols, block);
    for (const [row, origin] of origins.entries()) {
      const [from, to] = bounds(row);
      const shift = (origin - lowest - first - row) * cols;
      out.set(block.subarray((from + shift) * width, (to + shift) * width), (from - start) * width);
    }
    return;
  }
  for (const [row, origin] of origins.entries()) {
    const [from, to] = bounds(row);
    const target = out.subarray((from - start) * width, (to - start) * width) as Values;
    await read(from + (origin - first - row) * cols, target);
  }
}
