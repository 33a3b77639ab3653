import { ENCODED_BYTES } from '../../base/encoding.ts';
import { throwIfCancelled } from '../../base/errors.ts';
import type { StoredRows } from '../../devices/backend.ts';
import type { MatrixRows } from '../../model/matrixBase.ts';

/** Bytes read ahead in one step: a few milliseconds, so that the computation gets its turns. */
const PIECE_BYTES = 2 ** 23;

/** A source that may have been read ahead. */
export interface TimedRows extends MatrixRows {
  /** Seconds spent on reading ahead. */
  readonly seconds: number;
}

export interface ReadAhead extends TimedRows {
  /** Returns the memory; further rows are read from the source. */
  release(): void;
}

/** Reusable memory for reading ahead: a new array for every matrix would pile up until it is collected. */
export class Buffers {
  private readonly free: Uint8Array[] = [];

  /** A buffer of at least `length` bytes with arbitrary content. */
  take(length: number): Uint8Array {
    const index = this.free.findIndex((buffer) => buffer.length >= length);
    // A buffer that is too small is dropped: the next matrix could not use it either.
    const [buffer] = this.free.splice(Math.max(0, index), 1);
    return index < 0 || !buffer ? new Uint8Array(length) : buffer;
  }

  give(buffer: Uint8Array): void {
    this.free.push(buffer);
  }
}

/**
 * Starts reading the leading rows of `source`, at most `bytes`, and serves them from memory; later rows are read from
 * the source. Rows are kept in their stored form if the device decodes them, otherwise in f32. A failure is reported by
 * the first read.
 */
export function readAhead(
  source: MatrixRows,
  bytes: number,
  buffers: Buffers,
  signal: AbortSignal | undefined,
): ReadAhead {
  const { rows, cols, name, stored } = source;
  const rowBytes = cols * (stored ? ENCODED_BYTES[stored.encoding] : 4);
  const load = stored?.read ?? ((row, out, by) => source.read(row, floatsIn(out), by));
  const held = Math.min(rows, Math.floor(bytes / rowBytes)) * rowBytes;
  const buffer = buffers.take(held);
  let memory = buffer.subarray(0, held);
  const started = performance.now();
  let seconds: number | undefined;
  const filled = fill().finally(() => {
    seconds = (performance.now() - started) / 1000;
  });
  // The reader gets the failure; until then it must not count as unhandled.
  filled.catch(() => undefined);

  async function fill(): Promise<void> {
    const step = Math.max(1, Math.floor(PIECE_BYTES / rowBytes)) * rowBytes;
    for (let at = 0; at < held; at += step) {
      throwIfCancelled(signal, name);
      await load(at / rowBytes, memory.subarray(at, at + step), signal);
    }
  }

  const serve: StoredRows['read'] = async (row, out, by) => {
    await filled;
    const begin = row * rowBytes;
    const inMemory = Math.max(0, Math.min(out.length, memory.length - begin));
    out.set(memory.subarray(begin, begin + inMemory));
    if (inMemory < out.length) await load((begin + inMemory) / rowBytes, out.subarray(inMemory), by);
  };

  return {
    name,
    rows,
    cols,
    ...spreadOf(source),
    get seconds() {
      return seconds ?? 0;
    },
    ...(stored
      ? { read: source.read, stored: { encoding: stored.encoding, read: serve } }
      : { read: (row, out, by) => serve(row, bytesIn(out), by) }),
    release() {
      if (memory.length === 0) return;
      memory = memory.subarray(0, 0);
      // Not before it is completely written: another matrix would get the rest.
      if (seconds !== undefined) buffers.give(buffer);
      else void filled.catch(() => undefined).finally(() => buffers.give(buffer));
    },
  };
}

/** The same rows; calls `onEnd` when the last has been read. */
export function noticeEnd(source: MatrixRows & { readonly seconds?: number }, onEnd: () => void): TimedRows {
  const { name, rows, cols, stored } = source;
  return {
    name,
    rows,
    cols,
    ...spreadOf(source),
    get seconds() {
      return source.seconds ?? 0;
    },
    async read(row, out, signal) {
      await source.read(row, out, signal);
      if (row + out.length / cols >= rows) onEnd();
    },
    stored: stored && {
      encoding: stored.encoding,
      async read(row, out, signal) {
        await stored.read(row, out, signal);
        if (row + out.length / ENCODED_BYTES[stored.encoding] / cols >= rows) onEnd();
      },
    },
  };
}

function spreadOf({ spread }: MatrixRows): Pick<MatrixRows, 'spread'> {
  return spread ? { spread } : {};
}

const floatsIn = ({ buffer, byteOffset, byteLength }: Uint8Array) =>
  new Float32Array(buffer, byteOffset, byteLength / 4);
const bytesIn = ({ buffer, byteOffset, byteLength }: Float32Array) => new Uint8Array(buffer, byteOffset, byteLength);
