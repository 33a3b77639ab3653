import { throwIfCancelled } from '../base/errors.ts';
import type { RowSource } from '../devices/backend.ts';

/** Entries at a time: some 10 ms of reading and decoding, so that cancelling is quick. */
const SLAB = 2 ** 20;

/**
 * Reads all rows of a matrix, some at a time, in their order. A slab is valid until the next one is read.
 * @throws RankscopeError 'cancelled', and what reading throws
 */
export async function eachSlab(
  { name, rows, cols, read }: RowSource,
  signal: AbortSignal | undefined,
  use: (row: number, slab: Float32Array) => void | Promise<void>,
): Promise<void> {
  const step = Math.max(1, Math.floor(SLAB / Math.max(1, cols)));
  const buffer = new Float32Array(Math.min(step, rows) * cols);
  for (let row = 0; row < rows; row += step) {
    throwIfCancelled(signal, name);
    const slab = buffer.subarray(0, Math.min(step, rows - row) * cols);
    await read(row, slab, signal);
    await use(row, slab);
  }
}

/** All entries (rows x cols, row-major). */
export async function readWhole(source: RowSource, signal: AbortSignal | undefined): Promise<Float32Array> {
  const { cols } = source;
  const values = new Float32Array(source.rows * cols);
  await eachSlab(source, signal, (row, slab) => values.set(slab, row * cols));
  return values;
}

/** The sum of the squares of all entries, in f64. */
export async function sumOfSquares(source: RowSource, signal: AbortSignal | undefined): Promise<number> {
  let sum = 0;
  await eachSlab(source, signal, (_row, slab) => {
    for (const value of slab) sum += value * value;
  });
  return sum;
}
