import { ENCODED_BYTES } from '../../base/encoding.ts';
import { throwIfCancelled } from '../../base/errors.ts';
import type { StoredRows } from '../../devices/backend.ts';
import type { MatrixRows } from '../../model/matrixBase.ts';

/** Bytes filled at a time when reading ahead: a few milliseconds, so that whoever computes meanwhile gets its turns. */
const PIECE_BYTES = 2 ** 21;

/** A source whose reading may have begun before anyone asked. */
export interface TimedRows extends MatrixRows {
  /** Seconds spent on reading ahead. */
  readonly seconds: number;
}

export interface ReadAhead extends TimedRows {
  /** Gives the memory back: rows come from the source from then on. */
  release(): void;
}

/** Memory for reading ahead, used again and again: a fresh array for every matrix would pile up until it is collected. */
export class Buffers {
  private readonly free: Uint8Array[] = [];

  /** At least so many bytes, with any content. */
  take(length: number): Uint8Array {
    const index = this.free.findIndex((buffer) => buffer.length >= length);
    // What is too small is of no use to the next matrix either.
    const [buffer] = this.free.splice(Math.max(0, index), 1);
    return index < 0 || !buffer ? new Uint8Array(length) : buffer;
  }

  give(buffer: Uint8Array): void {
    this.free.push(buffer);
  }
}

/**
 * Begins to read the leading rows of `source`, at most `bytes`, and serves them from memory from then on; later rows come from the source
 * itself. They are held as they are stored where the device decodes them, in f32 otherwise. A failure is kept for the first read.
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
  // Whoever reads meets the failure; until then it must not count as unhandled.
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
      // Not before the last of it is written: another matrix would get it.
      if (seconds !== undefined) buffers.give(buffer);
      else void filled.catch(() => undefined).finally(() => buffers.give(buffer));
    },
  };
}

/** `source`, and a call of `onEnd` when its last row has been read. */
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
