import type { Backend, Matrix, RowSource } from '../devices/backend.ts';
import { Scope } from './scope.ts';
import { transposeOf } from './transpose.ts';

/** Two factors of a matrix as it is stored: W ~ left right, left rows x r and right r x cols, row-major. */
export interface StoredFactors {
  readonly left: Float32Array;
  readonly right: Float32Array;
}

/** A matrix whose rows come into device memory some at a time. */
export interface DeviceRows extends Omit<RowSource, 'read' | 'stored'> {
  /** `count` rows from `row` on, which `scope` frees. */
  load(scope: Scope, row: number, count: number, signal: AbortSignal | undefined): Promise<Matrix>;
}

/** W ~ b a in [out, in] terms, b m x r and a r x n, as the factors of the stored matrix, which may be W^T. */
export function asStored(
  { rows, transposed }: { readonly rows: number; readonly transposed: boolean },
  { rank, a, b }: { readonly rank: number; readonly a: Float32Array; readonly b: Float32Array },
): StoredFactors {
  return transposed ? { left: transposeOf(a, rows), right: transposeOf(b, rank) } : { left: b, right: a };
}

/** The rows of a source on the device. */
export function uploadedRows({ name, rows, cols, read }: RowSource): DeviceRows {
  return {
    name,
    rows,
    cols,
    async load(scope, row, count, signal) {
      const slab = await scope.allocate(count, cols);
      await scope.backend.upload(slab, 0, count, (out) => read(row, out, signal));
      return slab;
    },
  };
}

/**
 * Calls `use` with the rows of left right, or of `from` - left right, multiplied in f32 on the device, which holds
 * `right` meanwhile.
 * @throws RankscopeError 'too-large', 'engine', and what `use` throws
 */
export function withProductRows<Result>(
  backend: Backend,
  { name, rows, cols }: Pick<RowSource, 'name' | 'rows' | 'cols'>,
  { left, right }: StoredFactors,
  from: DeviceRows | undefined,
  use: (rows: DeviceRows) => Promise<Result>,
): Promise<Result> {
  const rank = right.length / cols;
  return Scope.run(backend, async (outer) => {
    const factor = await outer.upload(rank, cols, (out) => out.set(right));
    return use({
      name,
      rows,
      cols,
      async load(scope, row, count, signal) {
        const slab = from ? await from.load(scope, row, count, signal) : await scope.allocate(count, cols);
        const part = await scope.upload(count, rank, (out) => out.set(left.subarray(row * rank, (row + count) * rank)));
        await backend.multiply(slab, part, factor, { ...(from && { alpha: -1, beta: 1 }), signal });
        scope.free(part);
        return slab;
      },
    });
  });
}

/** The rows as a source for algorithms that read one. */
export function downloadedRows(backend: Backend, { name, rows, cols, load }: DeviceRows): RowSource {
  return {
    name,
    rows,
    cols,
    read: (row, out, signal) =>
      Scope.run(backend, async (scope) => {
        out.set(await backend.download(await load(scope, row, out.length / cols, signal)));
      }),
  };
}
