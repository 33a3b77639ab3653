// A factor A that matrices W_i (m_i x n) share, chosen by what they make of their inputs X_i: W_i ~ B_i A with a small
// sum of s_i^2 ||(W_i - B_i A) X_i||_F^2, where s_i makes the mean square of W_i X_i the same for all.
//
// 1. The rows of A span U_k^T S, with S the stack of the s_i W_i and U_k the leading left singular vectors of S R^T,
//    R^T R the sum of the X_i X_i^T (Basis Sharing, arXiv 2410.03765; the vectors on the left need no inverse of R).
// 2. B_i is the best for this A on the inputs of its own matrix, which is projecting W_i X_i onto the rows of A X_i:
//    Basis Sharing takes B_i from the decomposition of the stack, which is the same where all read the same inputs.
//
// Where they do, no A loses less. Where they do not, no formula is known for the best one.
import { balanced } from '../base/balancedFactors.ts';
import type { Backend, RoutineOptions, RowSource } from '../devices/backend.ts';
import { eachSlab, readWhole } from './eachSlab.ts';
import { exactSpectrum } from './exact.ts';
import { pooledInputs } from './pooledInputs.ts';
import { Scope } from './scope.ts';
import { type SeenBy, uploaded, withSeenRows } from './seenRows.ts';
import type { SharedFactors, Sharing } from './sharedFactors.ts';
import { stackedRows } from './stackedRows.ts';
import { transposeOf } from './transpose.ts';
import { triangularInverse } from './triangular.ts';
import { truncatedSvd } from './truncated.ts';

/** Matrices that share a factor, with the inputs of each. */
export interface SeenSharing extends Sharing {
  readonly seenBy: readonly SeenBy[];
  /** Whether all read the same inputs, whose statistics then stand in each place of `seenBy`. */
  readonly sameInputs: boolean;
}

/** Directions below this part of the largest are rounding. */
const LEAST = 1e-6;

/**
 * How much of the sum each rank keeps: the root of what direction k adds, k = 1, 2 ... Singular values where all read
 * the same inputs, and then all of them; otherwise `most` of them, and not quite descending.
 * @param norms ||W_i X_i||_F, above zero
 * @throws RankscopeError 'not-finite', 'too-large', 'cancelled', 'engine'
 */
export async function sharedGains(
  backend: Backend,
  sharing: SeenSharing,
  norms: readonly number[],
  most: number,
  options: RoutineOptions = {},
): Promise<Float64Array> {
  const scales = scalesOf(sharing, norms);
  const { name, seenBy, sameInputs, sources, transposed } = sharing;
  if (sameInputs) {
    const stack = { source: stackOf(sharing, scales), transposed };
    const found = await withSeenRows(backend, stack, seenBy[0]!, options, (rows) =>
      exactSpectrum(backend, rows, options),
    );
    return found.singularValues;
  }
  const { a, rank } = await commonRows(backend, sharing, scales, most, options);
  const gains = new Float64Array(most);
  for (const [k, source] of sources.entries()) {
    const { coordinates, usable } = await onOwnInputs(backend, name, a, rank, source, transposed, seenBy[k]!, options);
    for (const [at, value] of coordinates.entries())
      if (usable[at % rank]) gains[at % rank]! += (scales[k]! * value) ** 2;
  }
  return gains.map(Math.sqrt);
}

/** B_i and A of a rank, balanced, and ||(W_i - B_i A) X_i||_F / ||W_i X_i||_F of each matrix. */
export interface SharedOnSeen extends SharedFactors {
  readonly errors: readonly number[];
}

/** @throws RankscopeError 'wrong-use' for a rank out of range, 'not-finite', 'too-large', 'cancelled', 'engine' */
export async function sharedOnSeen(
  backend: Backend,
  sharing: SeenSharing,
  rank: number,
  options: RoutineOptions = {},
): Promise<SharedOnSeen> {
  const { name, seenBy, sources, transposed } = sharing;
  const norms: number[] = [];
  for (const [k, source] of sources.entries())
    norms.push(await seenNorm(backend, { source, transposed }, seenBy[k]!, options));
  const found = await commonRows(backend, sharing, scalesOf(sharing, norms), rank, options);
  const a = new Float32Array(rank * seenBy[0]!.inputs);
  a.set(found.a);
  const own: Float32Array[] = [];
  const errors: number[] = [];
  for (const [k, source] of sources.entries()) {
    const seen = await onOwnInputs(backend, name, found.a, found.rank, source, transposed, seenBy[k]!, options);
    let kept = 0;
    for (const [at, value] of seen.coordinates.entries()) if (seen.usable[at % found.rank]) kept += value * value;
    errors.push(norms[k]! > 0 ? Math.sqrt(Math.max(0, 1 - kept / norms[k]! ** 2)) : 0);
    own.push(widened(await solved(backend, seen, found.rank, options), found.rank, rank));
  }
  const starts = own.map((_, k) => own.slice(0, k).reduce((sum, { length }) => sum + length, 0));
  const all = new Float32Array(own.reduce((sum, { length }) => sum + length, 0));
  for (const [k, each] of own.entries()) all.set(each, starts[k]!);
  const factors = balanced(all, a, rank);
  return {
    a: factors.a,
    b: own.map(({ length }, k) => factors.b.subarray(starts[k]!, starts[k]! + length)),
    errors,
  };
}

/** ||W X||_F. */
async function seenNorm(
  backend: Backend,
  matrix: { readonly source: RowSource; readonly transposed: boolean },
  seenBy: SeenBy,
  options: RoutineOptions,
): Promise<number> {
  return withSeenRows(backend, matrix, seenBy, options, async (rows) => {
    let energy = 0;
    await eachSlab(rows, options.signal, (_row, slab) => {
      for (const value of slab) energy += value * value;
    });
    return Math.sqrt(energy);
  });
}

/** Gives each W_i X_i the squared norm m_i n. */
function scalesOf({ sources }: SeenSharing, norms: readonly number[]): number[] {
  return sources.map(({ rows, cols }, k) => (norms[k]! > 0 ? Math.sqrt(rows * cols) / norms[k]! : 0));
}

function stackOf({ name, sources, transposed }: SeenSharing, scales: readonly number[]): RowSource {
  return stackedRows(
    name,
    sources.map((source, k) => ({ source, scale: scales[k]! })),
    transposed,
  );
}

/** A (rank x n) with A R^T orthonormal; of fewer rows than asked for where the rest would be rounding. */
async function commonRows(
  backend: Backend,
  sharing: SeenSharing,
  scales: readonly number[],
  wanted: number,
  options: RoutineOptions,
): Promise<{ readonly a: Float32Array; readonly rank: number }> {
  const { name, seenBy, sameInputs, transposed } = sharing;
  const stack = stackOf(sharing, scales);
  const pooled = sameInputs ? seenBy[0]! : await pooledInputs(backend, seenBy, options);
  const { left, right, values } = await withSeenRows(backend, { source: stack, transposed }, pooled, options, (rows) =>
    truncatedSvd(backend, rows, wanted, options),
  );
  const u = transposed ? right : left;
  const usable = values.findIndex((value) => !(value > LEAST * values[0]!));
  const rank = usable < 0 ? wanted : Math.max(1, usable);
  return Scope.run(backend, async (scope) => {
    const basis = await scope.upload(u.length / wanted, rank, (out) => {
      for (let at = 0; at < out.length; at++)
        out[at] = u[Math.floor(at / rank) * wanted + (at % rank)]! / (values[at % rank]! || 1);
    });
    const whole = await uploaded(scope, name, stack.rows, stack.cols, stack, options.signal);
    const a = await scope.allocate(rank, pooled.inputs);
    await backend.multiply(a, basis, whole, { transposeA: true, transposeB: transposed, signal: options.signal });
    return { a: await backend.download(a), rank };
  });
}

interface OnOwnInputs {
  /** W X Q (m x k), with Q an orthonormal basis of the rows of A X, each from the rows up to its own. */
  readonly coordinates: Float32Array;
  /** (A X)^T = Q T, upper triangular. */
  readonly triangle: Float32Array;
  /** Rows of A that the inputs show beside those before. */
  readonly usable: readonly boolean[];
}

async function onOwnInputs(
  backend: Backend,
  name: string,
  a: Float32Array,
  rank: number,
  source: RowSource,
  transposed: boolean,
  seenBy: SeenBy,
  options: RoutineOptions,
): Promise<OnOwnInputs> {
  const n = seenBy.inputs;
  const rowsOfA = transposed ? transposeOf(a, n) : a;
  const [height, width] = transposed ? [n, rank] : [rank, n];
  const factor: RowSource = {
    name,
    rows: height,
    cols: width,
    read: async (row, out) => out.set(rowsOfA.subarray(row * width, row * width + out.length)),
  };
  // Together, both are multiplied by the same R.
  const parts = [factor, source].map((each) => ({ source: each, scale: 1 }));
  const both = { source: stackedRows(source.name, parts, transposed), transposed };
  const stored = await withSeenRows(backend, both, seenBy, options, (rows) => readWhole(rows, options.signal));
  const seen = transposed ? transposeOf(stored, stored.length / n) : stored;
  return Scope.run(backend, async (scope) => {
    const directions = transposeOf(seen.subarray(0, rank * n), n);
    const q = await scope.upload(n, rank, (out) => out.set(directions));
    const triangle = await backend.orthonormalize(q, options);
    const upper = await backend.download(scope.keep(triangle));
    const w = await scope.upload(seen.length / n - rank, n, (out) => out.set(seen.subarray(rank * n)));
    const product = await scope.allocate(w.rows, rank);
    await backend.multiply(product, w, q, { signal: options.signal });
    const sizes = Array.from({ length: rank }, (_, k) => Math.abs(upper[k * rank + k]!));
    const largest = sizes.reduce((most, size) => Math.max(most, size), 0);
    return {
      coordinates: await backend.download(product),
      triangle: upper,
      usable: sizes.map((size) => size > LEAST * largest),
    };
  });
}

/** B = W X Q T^-T (m x k); rows of A that are not usable get zeros. */
async function solved(
  backend: Backend,
  { coordinates, triangle, usable }: OnOwnInputs,
  rank: number,
  { signal }: RoutineOptions,
): Promise<Float32Array> {
  const upper = Float64Array.from(triangle, (value, at) => {
    const [i, j] = [Math.floor(at / rank), at % rank];
    if (usable[i] && usable[j]) return value;
    return i === j ? 1 : 0;
  });
  const inverse = new Float32Array(rank * rank);
  triangularInverse(upper, rank, inverse);
  for (const [k, is] of usable.entries()) if (!is) inverse[k * rank + k] = 0;
  return Scope.run(backend, async (scope) => {
    const known = await scope.upload(coordinates.length / rank, rank, (out) => out.set(coordinates));
    const by = await scope.upload(rank, rank, (out) => out.set(inverse));
    const b = await scope.allocate(known.rows, rank);
    await backend.multiply(b, known, by, { transposeB: true, signal });
    return backend.download(b);
  });
}

/** Columns of zeros behind those that were found. */
function widened(values: Float32Array, found: number, rank: number): Float32Array {
  if (found === rank) return values;
  const out = new Float32Array((values.length / found) * rank);
  for (let at = 0; at < values.length; at++) out[Math.floor(at / found) * rank + (at % found)] = values[at]!;
  return out;
}
