import { throwIfCancelled } from '../base/errors.ts';
import type { Backend, Matrix, RoutineOptions, RowSource } from '../devices/backend.ts';
import { Scope } from './scope.ts';
import { restacked } from './stackedTriangle.ts';

/** What stands for the inputs X (n x t) of a matrix: R with R^T R = X X^T, or of a diagonal X X^T, its root. */
export interface SeenBy {
  readonly kind: 'full' | 'diagonal';
  readonly inputs: number;
  /** Fills `out` with whole rows of R (n x n), or with the root of the diagonal, a single row. */
  read(row: number, out: Float32Array, signal?: AbortSignal): Promise<void>;
  /** a > 0 puts X X^T + a mean(diag(X X^T)) I in place of X X^T (Ledoit and Wolf 2004). Of a full R alone. */
  readonly shrinkage: number;
}

/** Entries at a time: some 10 ms of reading, so that cancelling is quick. */
const STEP = 2 ** 20;

/**
 * Calls `use` with the rows of W R^T (m x n), whose singular values are those of W X; if the source has W^T
 * (`transposed`), with those of R W^T. R is in device memory meanwhile, or, of a transposed source, all of W^T.
 * @throws RankscopeError 'too-large', 'cancelled', what the sources throw
 */
export async function withSeenRows<Result>(
  backend: Backend,
  { source, transposed }: { readonly source: RowSource; readonly transposed: boolean },
  seenBy: SeenBy,
  options: RoutineOptions,
  use: (rows: RowSource) => Promise<Result>,
): Promise<Result> {
  const { name, rows, cols } = source;
  if (seenBy.kind === 'diagonal') return use(await scaledRows(source, transposed, seenBy, options.signal));
  return Scope.run(backend, async (scope) => {
    const { inputs: n, shrinkage } = seenBy;
    const r = await uploaded(scope, name, n, n, seenBy, options.signal);
    const factor = shrinkage > 0 ? scope.keep(await shrunk(scope, r, shrinkage, options)) : r;
    if (factor !== r) scope.free(r);
    if (!transposed) {
      const read: RowSource['read'] = async (row, out, signal) => {
        const slab = await scope.allocate(out.length / cols, cols);
        await scope.backend.upload(slab, 0, slab.rows, (slot) => source.read(row, slot, signal));
        await multiplied(scope, slab, factor, true, out);
        scope.free(slab);
      };
      return use({ name, rows, cols, read });
    }
    const whole = await uploaded(scope, name, rows, cols, source, options.signal);
    const kept = await backend.download(factor);
    scope.free(factor);
    const read: RowSource['read'] = async (row, out) => {
      const own = kept.subarray(row * n, (row + out.length / cols) * n);
      const slab = await scope.upload(own.length / n, n, (slot) => slot.set(own));
      await multiplied(scope, slab, whole, false, out);
      scope.free(slab);
    };
    return use({ name, rows, cols, read });
  });
}

/** out <- slab op(by). */
async function multiplied(
  { backend }: Scope,
  slab: Matrix,
  by: Matrix,
  transposeB: boolean,
  out: Float32Array,
): Promise<void> {
  const product = await backend.allocate(slab.rows, transposeB ? by.rows : by.cols);
  try {
    await backend.multiply(product, slab, by, { transposeB });
    out.set(await backend.download(product));
  } finally {
    backend.free(product);
  }
}

/** A whole matrix in device memory, read in steps. */
export async function uploaded(
  scope: Scope,
  name: string,
  rows: number,
  cols: number,
  { read }: Pick<RowSource, 'read'>,
  signal: AbortSignal | undefined,
): Promise<Matrix> {
  const matrix = await scope.allocate(rows, cols);
  const step = Math.max(1, Math.floor(STEP / cols));
  for (let row = 0; row < rows; row += step) {
    throwIfCancelled(signal, name);
    await scope.backend.upload(matrix, row, Math.min(step, rows - row), (out) => read(row, out, signal));
  }
  return matrix;
}

/** R' with R'^T R' = R^T R + a mean(diag(R^T R)) I, from the QR of R above a multiple of I. */
async function shrunk({ backend }: Scope, r: Matrix, a: number, options: RoutineOptions): Promise<Matrix> {
  const n = r.rows;
  const kept = await backend.download(r);
  let energy = 0;
  for (const value of kept) energy += value * value;
  const diagonal = Math.sqrt((a * energy) / n);
  const load = (stack: Matrix, at: number) =>
    backend.upload(stack, at, n, (out) => {
      out.fill(0);
      for (let i = 0; i < n; i++) out[i * n + i] = diagonal;
    });
  return restacked(backend, { kept, width: n, fresh: n }, load, options);
}

/** W D^1/2, or its transpose. */
async function scaledRows(
  source: RowSource,
  transposed: boolean,
  seenBy: SeenBy,
  signal: AbortSignal | undefined,
): Promise<RowSource> {
  const { name, rows, cols } = source;
  const roots = new Float32Array(seenBy.inputs);
  await seenBy.read(0, roots, signal);
  return {
    name,
    rows,
    cols,
    async read(row, out, cancel) {
      await source.read(row, out, cancel);
      for (let i = 0; i < out.length; i++) out[i]! *= roots[transposed ? row + Math.floor(i / cols) : i % cols]!;
    },
  };
}
