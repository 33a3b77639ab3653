import { throwIfCancelled } from '../base/errors.ts';
import type { RowSource } from '../devices/backend.ts';

/** W (m x n), or its transpose as a source. */
interface Oriented {
  readonly source: RowSource;
  readonly transposed: boolean;
}

/** Sums over the entries of A and B, in f64. */
export interface EntrySums {
  /** <A, B>. */
  readonly inner: number;
  /** ||A||^2. */
  readonly first: number;
  /** ||B||^2. */
  readonly second: number;
  /** ||A - B||^2. */
  readonly difference: number;
}

/** Entries of each that are read at a time. */
const STEP = 2 ** 20;

/**
 * Compares the first `rows` rows of A and B, which have equally many columns. Memory: a few rows of each, or, where one
 * of them is stored as its transpose, all of that one.
 */
export async function compareEntries(
  a: Oriented,
  b: Oriented,
  rows: number,
  signal: AbortSignal | undefined,
): Promise<EntrySums> {
  const bothTransposed = a.transposed && b.transposed && a.source.cols === rows && b.source.cols === rows;
  const n = a.transposed ? a.source.rows : a.source.cols;
  const [outer, inner] = bothTransposed ? [n, rows] : [rows, n];
  const [one, other] = [await rowsOf(a, bothTransposed, signal), await rowsOf(b, bothTransposed, signal)];
  const sums = { inner: 0, first: 0, second: 0, difference: 0 };
  const step = Math.max(1, Math.floor(STEP / inner));
  for (let row = 0; row < outer; row += step) {
    throwIfCancelled(signal, a.source.name);
    const size = Math.min(step, outer - row) * inner;
    const [x, y] = [new Float32Array(size), new Float32Array(size)];
    await one(row, x);
    await other(row, y);
    for (let i = 0; i < size; i++) {
      const [p, q] = [x[i]!, y[i]!];
      sums.inner += p * q;
      sums.first += p * p;
      sums.second += q * q;
      sums.difference += (p - q) ** 2;
    }
  }
  return sums;
}

type Read = (row: number, out: Float32Array) => Promise<void>;

async function rowsOf(
  { source, transposed }: Oriented,
  asStored: boolean,
  signal: AbortSignal | undefined,
): Promise<Read> {
  if (!transposed || asStored) return (row, out) => source.read(row, out, signal);
  const { rows: n, cols } = source;
  const whole = new Float32Array(n * cols);
  const step = Math.max(1, Math.floor(STEP / cols));
  for (let row = 0; row < n; row += step) {
    throwIfCancelled(signal, source.name);
    await source.read(row, whole.subarray(row * cols, Math.min(n, row + step) * cols), signal);
  }
  return async (row, out) => {
    for (let at = 0; at < out.length; at++) out[at] = whole[(at % n) * cols + row + Math.floor(at / n)]!;
  };
}
