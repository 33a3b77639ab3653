import { throwIfCancelled } from '../base/errors.ts';
import type { RowSource } from '../devices/backend.ts';

/** One of several matrices that read the same inputs. */
export interface StackedPart {
  readonly source: RowSource;
  /** Multiplies all entries. */
  readonly scale: number;
}

/** Entries at a time, where rows are put together from several sources. */
const STEP = 2 ** 18;

/**
 * The rows of [s_1 W_1; s_2 W_2; ...], whose leading right singular vectors are the best basis that all W_i can share
 * (Basis Sharing, ICLR 2025, arXiv 2410.03765). With `transposed`, the sources hold the W_i^T, and the rows are those
 * of the transpose of that stack.
 */
export function stackedRows(name: string, parts: readonly StackedPart[], transposed: boolean): RowSource {
  return transposed ? sideBySide(name, parts) : below(name, parts);
}

function below(name: string, parts: readonly StackedPart[]): RowSource {
  const cols = parts[0]!.source.cols;
  return {
    name,
    rows: parts.reduce((sum, { source }) => sum + source.rows, 0),
    cols,
    async read(row, out, signal) {
      let first = 0;
      for (const { source, scale } of parts) {
        const from = Math.max(row, first);
        const to = Math.min(row + out.length / cols, first + source.rows);
        if (from < to) {
          const own = out.subarray((from - row) * cols, (to - row) * cols);
          await source.read(from - first, own, signal);
          for (let i = 0; i < own.length; i++) own[i]! *= scale;
        }
        first += source.rows;
      }
    },
  };
}

function sideBySide(name: string, parts: readonly StackedPart[]): RowSource {
  const cols = parts.reduce((sum, { source }) => sum + source.cols, 0);
  return {
    name,
    rows: parts[0]!.source.rows,
    cols,
    async read(row, out, signal) {
      const count = out.length / cols;
      let left = 0;
      for (const { source, scale } of parts) {
        const width = source.cols;
        const step = Math.max(1, Math.floor(STEP / width));
        for (let done = 0; done < count; done += step) {
          throwIfCancelled(signal, name);
          const own = new Float32Array(Math.min(step, count - done) * width);
          await source.read(row + done, own, signal);
          for (let at = 0; at < own.length; at++)
            out[(done + Math.floor(at / width)) * cols + left + (at % width)] = own[at]! * scale;
        }
        left += width;
      }
    },
  };
}
