import type { RowSource } from '../devices/backend.ts';
import { readWhole } from './eachSlab.ts';
import { type PairSums, pairSums } from './pairSums.ts';

/** W (m x n), or its transpose as a source. */
interface Oriented {
  readonly source: RowSource;
  readonly transposed: boolean;
}

/**
 * Compares the first `rows` rows of two matrices, which have equally many columns. Memory: a few rows of each, or,
 * where one of them is stored as its transpose, all of that one.
 */
export async function compareEntries(
  base: Oriented,
  other: Oriented,
  rows: number,
  signal: AbortSignal | undefined,
): Promise<PairSums> {
  const bothTransposed = base.transposed && other.transposed && base.source.cols === rows && other.source.cols === rows;
  if (bothTransposed) return pairSums(base.source, other.source, signal);
  return pairSums(await upright(base, rows, signal), await upright(other, rows, signal), signal);
}

/** The first rows of W. */
async function upright(
  { source, transposed }: Oriented,
  rows: number,
  signal: AbortSignal | undefined,
): Promise<RowSource> {
  if (!transposed) return { ...source, rows };
  const { name, rows: n, cols } = source;
  const whole = await readWhole(source, signal);
  const read: RowSource['read'] = async (row, out) => {
    for (let at = 0; at < out.length; at++) out[at] = whole[(at % n) * cols + row + Math.floor(at / n)]!;
  };
  return { name, rows, cols: n, read };
}
