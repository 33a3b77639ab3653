import { SUMMARY } from '../rowSummaries.ts';
import type { Values } from './values.ts';

/** The summaries of rows of `cols` logits, `SUMMARY.size` numbers each. */
export function summarizeRows(x: Values, cols: number, targets: Int32Array, reference?: Values): Float64Array {
  const summaries = new Float64Array((x.length / cols) * SUMMARY.size);
  for (let row = 0; row * cols < x.length; row++) {
    const own = x.subarray(row * cols, (row + 1) * cols);
    const largest = largestOf(own);
    const target = targets[row]!;
    const other = reference?.subarray(row * cols, (row + 1) * cols);
    summaries.set(
      [
        largest,
        Math.max(0, own.indexOf(largest)),
        sumOver(own, (value) => Math.exp(value - largest)),
        target < 0 ? 0 : own[target]!,
        other ? weightedDifference(other, own) : 0,
      ],
      row * SUMMARY.size,
    );
  }
  return summaries;
}

/** NaN if an entry is not finite. */
function largestOf(values: Values): number {
  let most = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) most = Number.isFinite(values[i]!) ? Math.max(most, values[i]!) : Number.NaN;
  return most;
}

function sumOver(values: Values, term: (value: number, i: number) => number): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += term(values[i]!, i);
  return sum;
}

function weightedDifference(reference: Values, x: Values): number {
  const largest = largestOf(reference);
  return sumOver(reference, (value, i) => Math.exp(value - largest) * (value - x[i]!));
}
