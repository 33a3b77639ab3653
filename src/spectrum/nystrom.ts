import { RankscopeError, throwIfCancelled } from '../base/errors.ts';
import { seededRandom } from '../base/random.ts';
import type { SingularTriplets } from '../base/singularTriplets.ts';
import type { Backend, RoutineOptions, RowSource } from '../devices/backend.ts';
import { OVERSAMPLING } from './costModel.ts';
import { loadScaled, subProgress, uploadRows } from './load.ts';
import { Scope } from './scope.ts';

export interface NystromOptions extends RoutineOptions {
  readonly seed?: number;
}

/** Asymmetry allowed in the sketch of a symmetric matrix, relative to its largest entry: f32 rounding with a margin. */
const ASYMMETRY = 1e-4;
const EPSILON = 2 ** -23;

/**
 * Leading eigenpairs of a symmetric positive semidefinite matrix (a covariance, a Gram matrix) from a single product
 * with it: W ~ Y (Omega^T Y)^-1 Y^T with Y = W Omega, stabilised by a shift of the size of rounding (Tropp, Yurtsever,
 * Udell and Cevher, "Fixed-rank approximation of a positive-semidefinite matrix from streaming data", 2017, algorithm
 * 3). `left` and `right` are the same vectors.
 *
 * @throws RankscopeError 'wrong-use' if the matrix is not square, symmetric and positive semidefinite, or the rank is
 *   out of range
 */
export async function nystromSvd(
  backend: Backend,
  source: RowSource,
  rank: number,
  options: NystromOptions = {},
): Promise<SingularTriplets> {
  const { name, rows: n } = source;
  const refuse = (found: string) =>
    new RankscopeError('wrong-use', name, found, 'Nystrom needs a symmetric positive semidefinite matrix');
  if (source.cols !== n) throw refuse(`is ${n} x ${source.cols}`);
  checkRank(source, rank);
  const { signal, seed = 1 } = options;
  // A single product needs twice the columns (section 5.3 of the paper).
  const width = Math.min(n, 2 * rank + OVERSAMPLING);
  return Scope.run(backend, async (scope) => {
    const matrix = await scope.allocate(n, n);
    const { scale } = await loadScaled(source, signal, (rows) =>
      uploadRows(backend, rows, 0, n, matrix, 0, subProgress(options, 0, 0.3)),
    );
    const random = seededRandom(seed);
    const omega = await scope.upload(n, width, (out) => {
      for (let i = 0; i < out.length; i++) out[i] = random.normal();
    });
    scope.free(scope.keep(await backend.orthonormalize(omega, { signal })));
    const sketch = await scope.allocate(n, width);
    await backend.multiply(sketch, matrix, omega);
    scope.free(matrix);
    throwIfCancelled(signal, name);
    const norm = Math.sqrt((await backend.download(sketch)).reduce((sum, entry) => sum + entry * entry, 0));
    const shift = Math.sqrt(n) * EPSILON * norm;
    const core = await scope.allocate(width, width);
    await backend.multiply(core, omega, sketch, { transposeA: true });
    const inverse = inverseCholesky(await backend.download(core), width, shift, refuse);
    // The left singular vectors of Y + shift Omega, times the inverse of the core's triangular factor, are the
    // eigenvectors of W; the values are the roots of its shifted eigenvalues.
    const identity = await scope.upload(width, width, (out) => {
      out.fill(0);
      for (let i = 0; i < width; i++) out[i * width + i] = shift;
    });
    await backend.multiply(sketch, omega, identity, { beta: 1 });
    const by = await scope.upload(width, width, (out) => out.set(inverse));
    await backend.multiply(omega, sketch, by);
    const { left, values } = await backend.svd(omega, rank, subProgress(options, 0.5, 1));
    return { left, values: values.map((value) => Math.max(0, value ** 2 - shift) / scale), right: left };
  });
}

/** W ~ C (C^+ W R^+) R with some columns C and rows R of W. */
export interface ColumnRow {
  /** The approximation, truncated to the requested rank, as singular triplets. */
  readonly factors: SingularTriplets;
  /** Indices of the columns taken, ascending: rank + 10 of them, or as many as there are. */
  readonly columns: readonly number[];
  /** Likewise of the rows. */
  readonly rows: readonly number[];
  /** ||W - approximation||_F / ||W||_F, measured. */
  readonly error: number;
}

/**
 * Column/row approximation of any matrix (Drineas, Kannan and Mahoney 2006, part III). Columns and rows are sampled
 * without replacement, with probabilities proportional to their squared norms; the core C^+ W R^+ is optimal for them.
 * In orthonormal bases of both, this projects W from either side, so that its error follows from norms alone.
 *
 * @throws RankscopeError 'wrong-use' for a rank outside 1 .. min(m, n), and what reading and computing throw
 */
export async function columnRowSvd(
  backend: Backend,
  source: RowSource,
  rank: number,
  options: NystromOptions = {},
): Promise<ColumnRow> {
  checkRank(source, rank);
  const { rows: m, cols: n, name } = source;
  const { signal, seed = 1 } = options;
  const width = Math.min(m, n, rank + OVERSAMPLING);
  return Scope.run(backend, async (scope) => {
    const matrix = await scope.allocate(m, n);
    const norms = { rows: new Float64Array(m), columns: new Float64Array(n) };
    const { entries, scale } = await loadScaled(source, signal, (scaled) => {
      norms.columns.fill(0);
      const read = async (row: number, out: Float32Array) => {
        await scaled.read(row, out);
        addSquares(out, row, n, norms);
      };
      return uploadRows(backend, { ...scaled, read, upload: undefined }, 0, m, matrix, 0, subProgress(options, 0, 0.3));
    });
    const random = seededRandom(seed);
    const columns = sample(norms.columns, width, random.uniform);
    const rows = sample(norms.rows, width, random.uniform);
    const basis = async (chosen: readonly number[], length: number, transposeA: boolean) => {
      throwIfCancelled(signal, name);
      const side = transposeA ? m : n;
      const selection = await scope.upload(side, width, (out) => {
        out.fill(0);
        for (const [k, index] of chosen.entries()) out[index * width + k] = 1;
      });
      const out = await scope.allocate(length, width);
      await backend.multiply(out, matrix, selection, { transposeA });
      scope.free(selection);
      scope.free(scope.keep(await backend.orthonormalize(out, { signal })));
      return out;
    };
    const left = await basis(columns, m, false);
    const right = await basis(rows, n, true);
    const half = await scope.allocate(m, width);
    await backend.multiply(half, matrix, right);
    const core = await scope.allocate(width, width);
    await backend.multiply(core, left, half, { transposeA: true });
    const inner = await backend.svd(core, rank, { signal });
    const factors = {
      left: await scope.turned(left, inner.left, rank),
      values: inner.values.map((value) => value / scale),
      right: await scope.turned(right, inner.right, rank),
    };
    const energy = entries.frobeniusNorm ** 2;
    const kept = factors.values.reduce((sum, value) => sum + value * value, 0);
    options.progress?.(1);
    return { factors, columns, rows, error: energy > 0 ? Math.sqrt(Math.max(0, 1 - kept / energy)) : 0 };
  });
}

function checkRank({ name, rows, cols }: RowSource, rank: number): void {
  const most = Math.min(rows, cols);
  if (Number.isInteger(rank) && rank >= 1 && rank <= most) return;
  throw new RankscopeError('wrong-use', name, `rank ${rank} of a ${rows} x ${cols} matrix`, `Ask for 1 to ${most}`);
}

/** L^-T of the Cholesky factor L L^T = core + shift I, in f64: width x width, row-major, upper triangular. */
function inverseCholesky(
  core: Float32Array,
  width: number,
  shift: number,
  refuse: (found: string) => RankscopeError,
): Float32Array {
  const largest = core.reduce((most, entry) => Math.max(most, Math.abs(entry)), 0);
  const lower = new Float64Array(width * width);
  const out = new Float32Array(width * width);
  if (largest === 0) return out;
  const mirror = (i: number, j: number) => core[j * width + i]!;
  if (core.some((entry, at) => Math.abs(entry - mirror(Math.floor(at / width), at % width)) > ASYMMETRY * largest)) {
    throw refuse('is not symmetric');
  }
  for (let i = 0; i < width; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = (core[i * width + j]! + mirror(i, j)) / 2 + (i === j ? shift : 0);
      for (let k = 0; k < j; k++) sum -= lower[i * width + k]! * lower[j * width + k]!;
      if (i > j) lower[i * width + j] = sum / lower[j * width + j]!;
      else if (sum > 0) lower[i * width + i] = Math.sqrt(sum);
      else throw refuse('has a negative eigenvalue');
    }
  }
  // The columns of L^-1 by forward substitution, stored as rows.
  for (let j = 0; j < width; j++) {
    const column = new Float64Array(width);
    for (let i = j; i < width; i++) {
      let sum = i === j ? 1 : 0;
      for (let k = j; k < i; k++) sum -= lower[i * width + k]! * column[k]!;
      column[i] = sum / lower[i * width + i]!;
      out[j * width + i] = column[i]!;
    }
  }
  return out;
}

/** Adds the squares of whole rows of entries, from `row` on, to the squared norms. */
function addSquares(
  entries: Float32Array,
  row: number,
  cols: number,
  norms: { readonly rows: Float64Array; readonly columns: Float64Array },
): void {
  for (let start = 0; start < entries.length; start += cols) {
    let sum = 0;
    for (let j = 0; j < cols; j++) {
      const square = entries[start + j]! ** 2;
      sum += square;
      norms.columns[j]! += square;
    }
    norms.rows[row + start / cols] = sum;
  }
}

/**
 * `count` distinct indices, ascending, with probabilities proportional to the weights: those with the smallest -ln(u) /
 * weight (Efraimidis and Spirakis 2006). Indices of weight zero are taken last.
 */
function sample(weights: Float64Array, count: number, uniform: () => number): number[] {
  const keys = weights.map((weight) => -Math.log(1 - uniform()) / weight);
  return Array.from(keys.keys())
    .sort((one, other) => (keys[one] === keys[other] ? one - other : keys[one]! - keys[other]!))
    .slice(0, count)
    .sort((one, other) => one - other);
}
