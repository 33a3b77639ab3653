import { throwIfCancelled } from '../base/errors.ts';
import type { RowSource } from '../engine/backend.ts';
import type { Checkpoint } from '../formats/checkpoint.ts';
import { updateOf } from '../model/adapters.ts';
import type { MatrixRef } from '../model/anatomy.ts';
import { thinProductCore } from '../spectrum/thinProduct.ts';
import { updateProduct } from './adapter.ts';

/** Values decoded at a time when reading ahead: a few milliseconds, so that whoever computes meanwhile gets its turns. */
const PIECE = 2 ** 19;

/**
 * The rows of a matrix as they are stored (a transposed one is read as its transpose, which has the same spectrum); of an adapter's update
 * those of a small square matrix with the same singular values but for zeros.
 */
export function matrixRows(checkpoint: Checkpoint, { name, tensor, rows, cols, offset }: MatrixRef): RowSource {
  const update = updateOf(tensor);
  if (update) return thinProductCore(updateProduct(checkpoint, name, update));
  return {
    name,
    rows,
    cols,
    read: (row, out, signal) => checkpoint.read(tensor, offset + row * cols, out, signal),
  };
}

/** A source whose reading may have begun before anyone asked. */
export interface TimedRows extends RowSource {
  /** Seconds spent on reading ahead. */
  readonly seconds: number;
}

export interface ReadAhead extends TimedRows {
  /** Gives the memory back: rows come from the source from then on. */
  release(): void;
}

/** Memory for reading ahead, used again and again: a fresh array for every matrix would pile up until it is collected. */
export class Buffers {
  readonly #free: Float32Array[] = [];

  take(length: number): Float32Array {
    const index = this.#free.findIndex((buffer) => buffer.length >= length);
    // What is too small is of no use to the next matrix either.
    const [buffer] = this.#free.splice(Math.max(0, index), 1);
    return index < 0 || !buffer ? new Float32Array(length) : buffer;
  }

  give(buffer: Float32Array): void {
    this.#free.push(buffer);
  }
}

/**
 * Begins to read the leading rows of `source`, at most `bytes` of f32, and serves them from memory from then on; later rows come from
 * the source itself. A failure is kept for the first read.
 */
export function readAhead(
  source: RowSource,
  bytes: number,
  buffers: Buffers,
  signal: AbortSignal | undefined,
): ReadAhead {
  const { rows, cols, name } = source;
  const held = Math.min(rows, Math.floor(bytes / 4 / cols)) * cols;
  const buffer = buffers.take(held);
  let values = buffer.subarray(0, held);
  const started = performance.now();
  let seconds = 0;
  const filled = fill().finally(() => (seconds = (performance.now() - started) / 1000));
  // Whoever reads meets the failure; until then it must not count as unhandled.
  filled.catch(() => undefined);

  async function fill(): Promise<void> {
    const step = Math.max(1, Math.floor(PIECE / cols)) * cols;
    for (let at = 0; at < held; at += step) {
      throwIfCancelled(signal, name);
      await source.read(at / cols, values.subarray(at, at + step), signal);
    }
  }

  return {
    name,
    rows,
    cols,
    get seconds() {
      return seconds;
    },
    async read(row, out, readSignal) {
      await filled;
      const begin = row * cols;
      const inMemory = Math.max(0, Math.min(out.length, values.length - begin));
      out.set(values.subarray(begin, begin + inMemory));
      if (inMemory < out.length) await source.read((begin + inMemory) / cols, out.subarray(inMemory), readSignal);
    },
    release() {
      if (values.length === 0) return;
      values = new Float32Array(0);
      // Not before the last of it is written: another matrix would get it.
      void filled.catch(() => undefined).finally(() => buffers.give(buffer));
    },
  };
}

/** `source`, and a call of `onEnd` when its last row has been read. */
export function noticeEnd(source: RowSource & { readonly seconds?: number }, onEnd: () => void): TimedRows {
  const { name, rows, cols } = source;
  return {
    name,
    rows,
    cols,
    get seconds() {
      return source.seconds ?? 0;
    },
    async read(row, out, signal) {
      await source.read(row, out, signal);
      if (row + out.length / cols >= rows) onEnd();
    },
  };
}
