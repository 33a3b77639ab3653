import { RankscopeError, throwIfCancelled } from '../base/errors.ts';
import { seededRandom } from '../base/random.ts';
import type { SingularTriplets } from '../base/singularTriplets.ts';
import type { Backend, RoutineOptions, RowSource } from '../devices/backend.ts';
import { OVERSAMPLING } from './costModel.ts';
import { loadScaled, subProgress, uploadRows } from './load.ts';
import { Scope } from './scope.ts';
import { checkRank } from './sketches/sketch.ts';

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
