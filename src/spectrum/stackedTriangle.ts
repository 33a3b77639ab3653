// The sequential TSQR of Demmel, Grigori, Hoemmen and Langou (2012): R of the rows so far is stacked on the next rows,
// and the stack is triangularized again. Memory is width (width + rows at a time), whatever the height.
import type { Backend, Matrix, RoutineOptions } from '../devices/backend.ts';

/**
 * R (width x width) of `kept`, the R of the rows so far, and `fresh` further rows, which `load` writes into the stack
 * from row `at` on. The stack has at least `width` rows. The caller frees the result.
 */
export async function restacked(
  backend: Backend,
  { kept, width, fresh }: { readonly kept: Float32Array | undefined; readonly width: number; readonly fresh: number },
  load: (stack: Matrix, at: number) => Promise<void>,
  options: RoutineOptions,
): Promise<Matrix> {
  const top = kept ? width : 0;
  const stack = await backend.allocate(top + fresh, width);
  try {
    if (kept) await backend.upload(stack, 0, top, (out) => out.set(kept));
    await load(stack, top);
    return await backend.triangularize(stack, { ...options, onTriangle: kept !== undefined });
  } finally {
    backend.free(stack);
  }
}

/** Rows that are gathered before they are triangularized: by their entries, by the width, and at most. */
const [LEAST_ENTRIES, MULTIPLE, MOST_ENTRIES] = [2 ** 24, 2, 2 ** 27];

/**
 * R with R^T R = X X^T, from the rows of X^T as they come. Rows are gathered until stacking R on them costs little
 * beside their own reduction: with p rows of width n, 2 n^2 p operations, and 2 n^2 (p + 2 n / 3) on a device that does
 * not leave out the zeros of R.
 */
export class GrowingTriangle {
  /** Entries of the rows that wait. */
  waiting = 0;
  rows = 0;
  private kept: Float32Array | undefined;
  private gathered: Float32Array[] = [];

  constructor(
    private readonly backend: Backend,
    private readonly width: number,
  ) {}

  /** Adds whole rows, which must not be changed afterwards. */
  async add(rows: Float32Array, options: RoutineOptions = {}): Promise<void> {
    this.gathered.push(rows);
    this.waiting += rows.length;
    this.rows += rows.length / this.width;
    const wanted = Math.max(LEAST_ENTRIES, Math.min(MULTIPLE * this.width ** 2, MOST_ENTRIES));
    if (this.waiting >= wanted) await this.settle(options);
  }

  /** Takes the rows that wait into R. */
  async settle(options: RoutineOptions = {}): Promise<void> {
    if (this.waiting === 0) return;
    const { backend, width, kept, gathered } = this;
    const count = this.waiting / width;
    // Fewer rows than columns are filled up with zeros, which leave R as it is.
    const fresh = kept ? count : Math.max(count, width);
    const triangle = await restacked(
      backend,
      { kept, width, fresh },
      async (stack, first) => {
        let at = first;
        for (const rows of gathered) {
          const own = rows.length / width;
          await backend.upload(stack, at, own, (out) => void out.set(rows));
          at += own;
        }
        if (fresh > count) await backend.upload(stack, at, fresh - count, (out) => void out.fill(0));
      },
      options,
    );
    try {
      this.kept = await backend.download(triangle);
    } finally {
      backend.free(triangle);
    }
    this.gathered = [];
    this.waiting = 0;
  }

  /** R, row-major, zero below the diagonal. */
  async finish(options: RoutineOptions = {}): Promise<Float32Array> {
    await this.settle(options);
    return this.kept ?? new Float32Array(this.width ** 2);
  }
}
