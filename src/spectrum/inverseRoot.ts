import { RankscopeError } from '../base/errors.ts';
import type { Pause } from '../base/eventLoop.ts';
import type { Matrix } from '../devices/backend.ts';
import type { Scope } from './scope.ts';
import { symmetricEigen } from './symmetricEigen.ts';
import { cholesky, triangularInverse } from './triangular.ts';

/** Blocks of this size are factorized in f64 on the host. */
const LEAF = 128;
/** A pivot is at least the ridge; below this share of its diagonal entry it is rounding. */
const LEAST_PIVOT = 1e-10;
/** From this ridge on, in units of the mean diagonal, rounding in f32 leaves every pivot positive. */
const LEAST_RIDGE = 1e-3;
/** Eigenvalues below this share of the largest are left out of the pseudo-inverse. */
const LEAST_EIGENVALUE = 1e-9;

export interface InverseRootOptions {
  /** t is this many times the mean of the diagonal of B. */
  readonly ridge: number;
  readonly signal?: AbortSignal | undefined;
  readonly pause: Pause;
}

/**
 * H (n x r) in device memory with H H^T = (B + t I)^+, for a symmetric positive semidefinite B (n x n, row-major).
 *
 * With a ridge, it is the inverse of a Cholesky factor, by recursion on blocks: the diagonal blocks and all sums are in
 * f64, the products are those of the device in f32, 4/3 n^3 operations in all. Their rounding changes an entry of B by
 * some eps sqrt(b_ii b_jj), as forming B from activations in f32 does, and a ridge of 0.1 of the mean diagonal is 10^6
 * times that. An eigendecomposition in f64 lowers the loss of W' by 10^-7 of itself at n = 1536, and takes ten times as
 * long at n = 576.
 *
 * Without one, B may be singular: H = Q_r L_r^-1/2 of the eigenvectors whose values are above 1e-9 of the largest, all
 * in f64 on the host. That is O(n^3) on one thread, which does not yield: some seconds at n = 1000.
 *
 * @throws RankscopeError 'wrong-use' for B + t I = 0, 'too-large', 'cancelled', 'engine'
 */
export async function inverseRoot(
  scope: Scope,
  b: Float64Array,
  n: number,
  options: InverseRootOptions,
): Promise<Matrix> {
  const t = options.ridge * meanDiagonal(b, n);
  const root = options.ridge >= LEAST_RIDGE ? await triangularRoot(scope, b, n, t, options) : undefined;
  return root ? scope.upload(n, n, (out) => out.set(root)) : eigenRoot(scope, b, n, t);
}

/** Upper triangular; undefined if a pivot vanishes. t I is added where the diagonal is factorized. */
async function triangularRoot(
  scope: Scope,
  b: Float64Array,
  n: number,
  t: number,
  options: InverseRootOptions,
): Promise<Float32Array | undefined> {
  await options.pause();
  if (n <= LEAF) {
    const shifted = b.slice();
    for (let i = 0; i < n; i++) shifted[i * n + i]! += t;
    const r = cholesky(shifted, n, LEAST_PIVOT);
    const inverse = new Float32Array(n * n);
    if (r) triangularInverse(r, n, inverse);
    return r && inverse;
  }
  const { backend } = scope;
  const { signal } = options;
  const [p, q] = split(n);
  const first = await triangularRoot(scope, part(b, n, 0, 0, p, p), p, t, options);
  if (!first) return undefined;
  const h1 = await scope.upload(p, p, (out) => out.set(first));
  const b21 = await scope.upload(q, p, (out) => out.set(part(b, n, p, 0, q, p)));
  const k = await scope.allocate(q, p);
  await backend.multiply(k, b21, h1, { signal });
  const square = await scope.allocate(q, q);
  await backend.multiply(square, k, k, { transposeB: true, signal });
  const rest = part(b, n, p, p, q, q);
  const taken = await backend.download(square);
  for (let i = 0; i < rest.length; i++) rest[i]! -= taken[i]!;
  for (const matrix of [b21, square]) scope.free(matrix);
  const second = await triangularRoot(scope, rest, q, t, options);
  if (!second) return undefined;
  const h2 = await scope.upload(q, q, (out) => out.set(second));
  const turned = await scope.allocate(p, q);
  await backend.multiply(turned, k, h2, { transposeA: true, signal });
  const corner = await scope.allocate(p, q);
  await backend.multiply(corner, h1, turned, { alpha: -1, signal });
  const above = await backend.download(corner);
  for (const matrix of [h1, h2, k, turned, corner]) scope.free(matrix);
  const whole = new Float32Array(n * n);
  for (let i = 0; i < p; i++) {
    whole.set(first.subarray(i * p, (i + 1) * p), i * n);
    whole.set(above.subarray(i * q, (i + 1) * q), i * n + p);
  }
  for (let i = 0; i < q; i++) whole.set(second.subarray(i * q, (i + 1) * q), (p + i) * n + p);
  return whole;
}

/** The mean of the diagonal; NaN or infinite if an entry of it is. */
export function meanDiagonal(b: Float64Array, n: number): number {
  let trace = 0;
  for (let i = 0; i < n; i++) trace += b[i * n + i]!;
  return trace / n;
}

/** Halves of whole leaves. */
function split(n: number): [number, number] {
  const first = LEAF * Math.ceil(n / (2 * LEAF));
  return [first, n - first];
}

function part(b: Float64Array, n: number, row: number, col: number, rows: number, cols: number): Float64Array {
  const out = new Float64Array(rows * cols);
  for (let i = 0; i < rows; i++) {
    const start = (row + i) * n + col;
    out.set(b.subarray(start, start + cols), i * cols);
  }
  return out;
}

async function eigenRoot(scope: Scope, b: Float64Array, n: number, t: number): Promise<Matrix> {
  const { values: unshifted, rows } = symmetricEigen(b.slice(), n, [...Array(n).keys()]);
  const values = unshifted.map((value) => value + t);
  const largest = values.reduce((most, value) => Math.max(most, value), 0);
  const kept = [...values.keys()].filter((k) => values[k]! > LEAST_EIGENVALUE * largest);
  if (kept.length === 0) throw new RankscopeError('wrong-use', 'inputs', 'are all zero', 'Take a longer text');
  return scope.upload(n, kept.length, (out) => {
    for (const [i, row] of rows.entries())
      for (const [at, k] of kept.entries()) out[i * kept.length + at] = row[k]! / Math.sqrt(values[k]!);
  });
}
