import { RankscopeError, throwIfCancelled } from '../base/errors.ts';
import type { RowSource } from '../devices/backend.ts';

/** Entries of each that are read at a time. */
const STEP = 2 ** 20;

/** Sums over the entries of two matrices or tensors A and B, in f64. */
export interface PairSums {
  /** |A|^2, |B|^2, |B - A|^2 and <A, B>. */
  readonly base: number;
  readonly other: number;
  readonly difference: number;
  readonly product: number;
  /** Largest |B - A|. */
  readonly largest: number;
  /** Whether all entries have the same bits as f32: zeros of different signs differ. */
  readonly identical: boolean;
}

/**
 * One pass over two matrices of one size.
 * @param labels what the two are called, where NaN and infinity are an error
 * @throws RankscopeError 'not-finite' that names the model and the entry, 'cancelled'
 */
export async function pairSums(
  base: RowSource,
  other: RowSource,
  signal: AbortSignal | undefined,
  labels?: readonly [string, string],
): Promise<PairSums> {
  const { rows, cols } = base;
  const sums = { base: 0, other: 0, difference: 0, product: 0, largest: 0, identical: true };
  const step = Math.max(1, Math.floor(STEP / Math.max(1, cols)));
  for (let row = 0; row < rows; row += step) {
    throwIfCancelled(signal, base.name);
    const count = Math.min(step, rows - row);
    const [a, b] = [new Float32Array(count * cols), new Float32Array(count * cols)];
    await base.read(row, a, signal);
    await other.read(row, b, signal);
    const [bitsA, bitsB] = [new Int32Array(a.buffer), new Int32Array(b.buffer)];
    for (let i = 0; i < a.length; i++) {
      const x = a[i]!;
      const y = b[i]!;
      if (bitsA[i] !== bitsB[i]) sums.identical = false;
      const d = y - x;
      sums.base += x * x;
      sums.other += y * y;
      sums.difference += d * d;
      sums.product += x * y;
      if (d > sums.largest) sums.largest = d;
      else if (-d > sums.largest) sums.largest = -d;
    }
    if (labels && !Number.isFinite(sums.base + sums.other + sums.difference))
      refuse(base.name, [a, b], { row, cols }, labels);
  }
  return sums;
}

function refuse(
  name: string,
  values: readonly Float32Array[],
  { row, cols }: { row: number; cols: number },
  labels: readonly [string, string],
): void {
  for (const [side, entries] of values.entries()) {
    const at = entries.findIndex((value) => !Number.isFinite(value));
    if (at < 0) continue;
    const where = `entry [${row + Math.floor(at / cols)}, ${at % cols}] is ${entries[at]} in ${labels[side]}`;
    throw new RankscopeError('not-finite', name, where, 'A model with such a weight is damaged or diverged');
  }
}
