/** Windows that pass together. */
export interface Batch {
  readonly windows: readonly ArrayLike<number>[];
  readonly lengths: readonly number[];
  /** Tokens of all of them. */
  readonly rows: number;
  /** Index of the first window. */
  readonly first: number;
}

/** Rows that pass together if they are several windows: enough for products to be fast, few enough for memory. */
const ROWS = 2048;

/** Rows of the largest batch of some windows. */
export function mostRows(windows: readonly ArrayLike<number>[]): number {
  return Math.max(0, ...batchesOf(windows).map(({ rows }) => rows));
}

/** Groups windows in their order. */
export function batchesOf(windows: readonly ArrayLike<number>[]): Batch[] {
  const batches: Batch[] = [];
  for (let first = 0; first < windows.length; ) {
    let end = first + 1;
    let rows = windows[first]!.length;
    while (end < windows.length && rows + windows[end]!.length <= ROWS) rows += windows[end++]!.length;
    const own = windows.slice(first, end);
    batches.push({ windows: own, lengths: own.map(({ length }) => length), rows, first });
    first = end;
  }
  return batches;
}
