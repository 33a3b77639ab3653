import { throwIfCancelled } from '../base/errors.ts';
import type { RowSource } from '../engine/backend.ts';
import type { Checkpoint } from '../formats/checkpoint.ts';
import type { MatrixRef } from '../model/anatomy.ts';

/** Values decoded at a time when reading ahead: a few milliseconds, so that whoever computes meanwhile gets its turns. */
const PIECE = 2 ** 19;

/** The rows of a matrix as they are stored (a transposed one is read as its transpose, which has the same spectrum). */
export function matrixRows(checkpoint: Checkpoint, { name, tensor, rows, cols, offset }: MatrixRef): RowSource {
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

/**
 * Begins to read the leading rows of `source`, at most `bytes` of f32, and serves them from memory from then on; later rows come from
 * the source itself. A failure is kept for the first read.
 */
export function readAhead(source: RowSource, bytes: number, signal: AbortSignal | undefined): TimedRows {
  const { rows, cols, name } = source;
  const held = Math.min(rows, Math.floor(bytes / 4 / cols));
  const values = new Float32Array(held * cols);
  const started = performance.now();
  let seconds = 0;
  const filled = fill().finally(() => (seconds = (performance.now() - started) / 1000));
  // Whoever reads meets the failure; until then it must not count as unhandled.
  filled.catch(() => undefined);

  async function fill(): Promise<void> {
    const step = Math.max(1, Math.floor(PIECE / cols));
    for (let row = 0; row < held; row += step) {
      throwIfCancelled(signal, name);
      await source.read(row, values.subarray(row * cols, Math.min(row + step, held) * cols), signal);
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
