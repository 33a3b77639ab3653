import { RankscopeError } from '../base/errors.ts';
import type { Pause } from '../base/eventLoop.ts';

/** The columns of a matrix. */
export type Columns = readonly Float64Array[];

/** M = left diag(values) right^T without zero values. */
export interface SmallSvd {
  readonly left: Columns;
  /** Descending, above zero. */
  readonly values: Float64Array;
  readonly right: Columns;
}

const EPSILON = 2 ** -52;
const SWEEP_LIMIT = 60;

/**
 * The singular triplets of up down^T in f64, from the columns of up (m x r) and down (n x r). Both are orthogonalised,
 * and the r x r product of their triangles is decomposed by one-sided Jacobi rotations (Hestenes 1958), which resolve
 * small values as well as large ones.
 */
export async function productSvd(up: Columns, down: Columns, pause: Pause): Promise<SmallSvd> {
  const left = await orthonormalBasis(up, pause);
  const right = await orthonormalBasis(down, pause);
  const rank = up.length;
  // The columns of R1 R2^T, without the rows of dependent columns.
  const turned = right.basis.map((_, j) =>
    Float64Array.from({ length: left.basis.length }, (_, i) => {
      let sum = 0;
      for (let k = 0; k < rank; k++) sum += left.shares[k]![i]! * right.shares[k]![j]!;
      return sum;
    }),
  );
  const rotations = turned.map((_, j) => Float64Array.from({ length: turned.length }, (_, i) => (i === j ? 1 : 0)));
  for (let sweep = 0; await rotateAll(turned, rotations, pause); sweep++)
    if (sweep === SWEEP_LIMIT) throw new RankscopeError('engine', 'singular values', 'the rotations did not converge');
  const norms = turned.map((column) => Math.sqrt(dot(column, column)));
  const largest = Math.max(0, ...norms);
  const order = [...norms.keys()]
    .filter((i) => norms[i]! > EPSILON * rank * largest)
    .sort((one, other) => norms[other]! - norms[one]!);
  return {
    left: order.map((i) => combined(left.basis, turned[i]!, 1 / norms[i]!)),
    values: Float64Array.from(order, (i) => norms[i]!),
    right: order.map((i) => combined(right.basis, rotations[i]!, 1)),
  };
}

export function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/**
 * An orthonormal basis of the columns, and the coefficients of each column in it, by Gram-Schmidt with one
 * reorthogonalisation, which is enough (Giraud, Langou and Rozloznik 2005). A column that depends on those before it
 * adds no vector.
 */
async function orthonormalBasis(columns: Columns, pause: Pause) {
  const basis: Float64Array[] = [];
  const shares: Float64Array[] = [];
  for (const column of columns) {
    await pause();
    const rest = column.slice();
    const share = new Float64Array(columns.length);
    const whole = Math.sqrt(dot(column, column));
    for (let pass = 0; pass < 2; pass++)
      for (const [k, vector] of basis.entries()) {
        const part = dot(vector, rest);
        share[k]! += part;
        for (let i = 0; i < rest.length; i++) rest[i]! -= part * vector[i]!;
      }
    const norm = Math.sqrt(dot(rest, rest));
    if (norm > EPSILON * Math.sqrt(column.length) * whole) {
      share[basis.length] = norm;
      basis.push(rest.map((value) => value / norm));
    }
    shares.push(share);
  }
  return { basis, shares };
}

/** One sweep over all pairs of columns. Returns false once all are orthogonal to working precision. */
async function rotateAll(x: Columns, j: Columns, pause: Pause): Promise<boolean> {
  const squares = x.map((column) => dot(column, column));
  const largest = Math.max(0, ...squares);
  // The rounding that such a sum may leave in an inner product of zero.
  const rounding = EPSILON * x.length;
  let rotated = false;
  for (let p = 0; p < x.length - 1; p++) {
    await pause();
    for (let q = p + 1; q < x.length; q++) {
      const [alpha, beta] = [squares[p]!, squares[q]!];
      const gamma = dot(x[p]!, x[q]!);
      // The second bound skips columns that are mere rounding relative to the largest, which would be rotated forever.
      if (Math.abs(gamma) <= rounding * Math.max(Math.sqrt(alpha * beta), rounding * largest)) continue;
      rotated = true;
      const zeta = (beta - alpha) / (2 * gamma);
      const t = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.hypot(1, zeta));
      const c = 1 / Math.hypot(1, t);
      squares[p] = Math.max(0, alpha - t * gamma);
      squares[q] = Math.max(0, beta + t * gamma);
      rotate(x[p]!, x[q]!, c, c * t);
      rotate(j[p]!, j[q]!, c, c * t);
    }
  }
  return rotated;
}

function rotate(one: Float64Array, other: Float64Array, c: number, s: number): void {
  for (let i = 0; i < one.length; i++) {
    const [a, b] = [one[i]!, other[i]!];
    one[i] = c * a - s * b;
    other[i] = s * a + c * b;
  }
}

function combined(basis: Columns, shares: Float64Array, factor: number): Float64Array {
  const out = new Float64Array(basis[0]?.length ?? 0);
  for (const [k, vector] of basis.entries())
    for (let i = 0; i < out.length; i++) out[i]! += factor * shares[k]! * vector[i]!;
  return out;
}
