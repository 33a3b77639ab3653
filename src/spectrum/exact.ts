// Why the two-stage SVD is our own: the usual shortcut loses digits, and the classical route is slow. The eigenvalues
// of a Gram matrix square the condition number: in f32, every singular value below 2e-4 of the largest is off by more
// than 10 %. A one-stage bidiagonalisation, as in LAPACK's gebrd, spends half its work in matrix-vector products and is
// bound by memory bandwidth: unblocked reductions took 0.22 s at 1024 and 34 s at 4096. Reducing first to a band and
// then to bidiagonal form (Grosser and Lang 1999) does nearly all work in matrix products, which run fast on every
// device and all cores; the same scheme reaches 80 to 90 % of cuSOLVER on GPUs of every vendor (arXiv 2508.06339). No
// library for Node offers it. The stages are in devices/; this file feeds them.
import { RankscopeError } from '../base/errors.ts';
import { type Backend, type Matrix, type RoutineOptions, type RowSource, TALL } from '../devices/backend.ts';
import type { EntryStatistics } from './entries.ts';
import { loadScaled, type ScaledRows, subProgress, uploadRows } from './load.ts';
import { restacked } from './stackedTriangle.ts';

export interface ExactSpectrum {
  /** All min(m, n) of them, descending. */
  readonly singularValues: Float64Array;
  readonly entries: EntryStatistics;
}

/**
 * Heights of the stack in multiples of its width, tried in turn: higher means fewer triangles to take along, lower less
 * memory.
 */
const STACK_HEIGHTS = [3, 2, 1.25];
/**
 * Where memory allows, a stack holds about this many entries or more, so that narrow matrices are not reduced in tiny
 * steps.
 */
const LEAST_STACK = 2 ** 22;

interface Size {
  readonly rows: number;
  readonly cols: number;
}

/** The size of the largest matrix that `exactSpectrum` puts on the device, where memory allows. */
export const sizeOnDevice = ({ rows, cols }: Size): Size => ({
  rows: rows >= TALL * cols ? stackHeight(rows, cols, 0) : rows,
  cols,
});

/** Rows of the stack in which a tall matrix streams. */
function stackHeight(height: number, width: number, attempt: number): number {
  const least = attempt === 0 ? Math.floor(LEAST_STACK / width) : 0;
  return Math.min(height, Math.max(Math.ceil(STACK_HEIGHTS[attempt]! * width), width + 1, least));
}

/**
 * All singular values of a source, to the accuracy of the backend, and the statistics of its entries from the same
 * pass.
 *
 * - A tall matrix (m >= 1.6 n) streams (`stackedTriangle.ts`). Memory is n (n + panel), whatever the height.
 * - Any other matrix is uploaded whole; the backend chooses how to treat a wide one.
 * - A wide matrix (n >= 1.6 m) that the device cannot hold streams as its transpose. The source, which can only be read
 *   by rows, is read once per panel of columns, which is cheap compared with the reduction.
 *
 * @throws RankscopeError 'not-finite' with the position of the entry, 'too-large' before memory is taken, 'cancelled',
 *   'engine'.
 */
export async function exactSpectrum(
  backend: Backend,
  source: RowSource,
  options: RoutineOptions = {},
): Promise<ExactSpectrum> {
  const { result, entries, scale } = await loadScaled(source, options.signal, (rows) =>
    spectrumOf(backend, rows, options),
  );
  return { singularValues: scale === 1 ? result : result.map((value) => value / scale), entries };
}

async function spectrumOf(backend: Backend, rows: ScaledRows, options: RoutineOptions): Promise<Float64Array> {
  const [m, n] = [rows.rows, rows.cols];
  if (m === 0 || n === 0) return new Float64Array(0);
  if (m >= TALL * n) return streamedSpectrum(backend, rowPanels(backend, rows), options);
  if (n < TALL * m) return wholeSpectrum(backend, rows, options);
  return withLess([
    () => wholeSpectrum(backend, rows, options),
    () => streamedSpectrum(backend, columnPanels(backend, rows), options),
  ]);
}

async function wholeSpectrum(backend: Backend, rows: ScaledRows, options: RoutineOptions): Promise<Float64Array> {
  const matrix = await backend.allocate(rows.rows, rows.cols);
  try {
    await uploadRows(backend, rows, 0, rows.rows, matrix, 0, subProgress(options, 0, 0.1));
    return await backend.singularValues(matrix, subProgress(options, 0.1, 1));
  } finally {
    backend.free(matrix);
  }
}

/** A tall height x width matrix that is loaded in panels of rows. */
interface Panels {
  readonly height: number;
  readonly width: number;
  load(row: number, count: number, into: Matrix, at: number): Promise<void>;
}

function rowPanels(backend: Backend, rows: ScaledRows): Panels {
  return {
    height: rows.rows,
    width: rows.cols,
    load: (row, count, into, at) => uploadRows(backend, rows, row, count, into, at),
  };
}

/** The transpose of `rows`. Each panel takes a pass over the whole source that keeps some columns. */
function columnPanels(backend: Backend, rows: ScaledRows): Panels {
  const [m, n] = [rows.rows, rows.cols];
  const slab = Math.max(1, Math.floor(2 ** 20 / n));
  return {
    height: n,
    width: m,
    load: (column, count, into, at) =>
      backend.upload(into, at, count, async (out) => {
        const slabRows = new Float32Array(Math.min(slab, m) * n);
        for (let row = 0; row < m; row += slab) {
          const height = Math.min(slab, m - row);
          await rows.read(row, slabRows.subarray(0, height * n));
          for (let j = 0; j < count; j++) {
            for (let i = 0; i < height; i++) out[j * m + row + i] = slabRows[i * n + column + j]!;
          }
        }
      }),
  };
}

function streamedSpectrum(backend: Backend, panels: Panels, options: RoutineOptions): Promise<Float64Array> {
  const { height, width } = panels;
  return withLess(
    STACK_HEIGHTS.map((_, attempt) => async () => {
      const stack = stackHeight(height, width, attempt);
      const triangle = await stackedTriangle(backend, panels, stack, subProgress(options, 0, 0.6));
      try {
        return await backend.singularValues(triangle, subProgress(options, 0.6, 1));
      } finally {
        backend.free(triangle);
      }
    }),
  );
}

/** R (width x width) of the QR of all rows, with at most `stackHeight` rows on the device at a time. */
async function stackedTriangle(
  backend: Backend,
  { height, width, load }: Panels,
  stackHeight: number,
  options: RoutineOptions,
): Promise<Matrix> {
  let kept: Float32Array | undefined;
  for (let done = 0; ; ) {
    const fresh = Math.min(stackHeight - (kept ? width : 0), height - done);
    const triangle = await restacked(
      backend,
      { kept, width, fresh },
      (stack, at) => load(done, fresh, stack, at),
      subProgress(options, done / height, (done + fresh) / height),
    );
    done += fresh;
    if (done === height) return triangle;
    kept = await backend.download(triangle, kept);
    backend.free(triangle);
  }
}

/** Returns the result of the first way for which the device has enough memory. */
async function withLess<Result>(ways: readonly (() => Promise<Result>)[]): Promise<Result> {
  for (const way of ways.slice(0, -1)) {
    try {
      return await way();
    } catch (thrown) {
      if (!(thrown instanceof RankscopeError && thrown.code === 'too-large')) throw thrown;
    }
  }
  return ways.at(-1)!();
}
