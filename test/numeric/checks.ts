import assert from 'node:assert/strict';
import type { SingularTriplets } from '../../src/base/singularTriplets.ts';

/** eps of the arithmetic in which devices compute. */
export const EPSILON = 2 ** -23;
/** The constant in every bound here, the same for all devices. */
export const C = 2;

/** Error allowed in the singular values of a rows x cols matrix: c eps sqrt(max(m, n)) sigma_1. */
export function tolerance(rows: number, cols: number, sigma1: number): number {
  return C * EPSILON * Math.sqrt(Math.max(rows, cols)) * sigma1;
}

/** Checks that values descend, are not negative and are within the tolerance of the truth. */
export function checkValues(
  values: ArrayLike<number>,
  truth: ArrayLike<number>,
  { rows, cols }: { rows: number; cols: number },
): void {
  assert.equal(values.length, truth.length, 'number of singular values');
  const bound = tolerance(rows, cols, truth[0] ?? 0);
  for (let i = 0; i < values.length; i++) {
    const off = Math.abs(values[i]! - truth[i]!);
    assert.ok(off <= bound, `value ${i} is ${values[i]}, ${truth[i]} is right: off by ${off}, ${bound} is allowed`);
    assert.ok(values[i]! >= 0, `value ${i} is negative`);
    assert.ok(i === 0 || values[i]! <= values[i - 1]!, `value ${i} is above the one before it`);
  }
}

/**
 * The constant for orthonormality: a product of reflectors rounds twice as often as a value. LAPACK's own tests allow
 * 30 eps n.
 */
const ORTHONORMAL_C = 2 * C;

/**
 * Checks that the columns of a rows x cols matrix are orthonormal: |Q^T Q - I| <= 2 c eps sqrt(max(rows, cols))
 * entrywise.
 */
export function checkOrthonormal(q: Float32Array, rows: number, cols: number): void {
  const bound = ORTHONORMAL_C * EPSILON * Math.sqrt(Math.max(rows, cols));
  const gram = gramOf(q, rows, cols);
  for (let i = 0; i < cols; i++) {
    for (let j = 0; j < cols; j++) {
      const off = Math.abs(gram[i * cols + j]! - (i === j ? 1 : 0));
      assert.ok(off <= bound, `columns ${i} and ${j}: off by ${off}, ${bound} is allowed`);
    }
  }
}

/**
 * Checks that ||A v_i - sigma_i u_i|| and ||A^T u_i - sigma_i v_i|| are within `slack` tolerances for every triplet.
 */
export function checkTriplets(
  { left, values, right }: SingularTriplets,
  matrix: Float32Array,
  { rows, cols }: { rows: number; cols: number },
  slack = 1,
): void {
  const rank = values.length;
  assert.equal(left.length, rows * rank, 'size of the left factor');
  assert.equal(right.length, cols * rank, 'size of the right factor');
  const bound = slack * tolerance(rows, cols, values[0] ?? 0);
  const check = (product: Float64Array, other: Float32Array, what: string) => {
    const length = other.length / rank;
    for (let k = 0; k < rank; k++) {
      let squares = 0;
      for (let i = 0; i < length; i++) squares += (product[i * rank + k]! - values[k]! * other[i * rank + k]!) ** 2;
      assert.ok(Math.sqrt(squares) <= bound, `triplet ${k}: ${what} is ${Math.sqrt(squares)}, ${bound} is allowed`);
    }
  };
  check(multiply(matrix, right, rows, cols, rank), left, '|A v - sigma u|');
  check(multiply(transpose(matrix, rows, cols), left, cols, rows, rank), right, '|A^T u - sigma v|');
}

/** Checks that a size x size matrix is zero below its diagonal. */
export function checkTriangular(r: Float32Array, size: number): void {
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < i; j++) assert.equal(Math.abs(r[i * size + j]!), 0, `R[${i}, ${j}] below the diagonal`);
  }
}

/** Row-major product in f64. */
export function multiply(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  rows: number,
  depth: number,
  cols: number,
): Float64Array {
  const out = new Float64Array(rows * cols);
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < depth; k++) {
      const factor = a[i * depth + k]!;
      for (let j = 0; j < cols; j++) out[i * cols + j]! += factor * b[k * cols + j]!;
    }
  }
  return out;
}

export function transpose(a: Float32Array, rows: number, cols: number): Float32Array {
  const out = new Float32Array(a.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) out[j * rows + i] = a[i * cols + j]!;
  return out;
}

export function gramOf(a: Float32Array, rows: number, cols: number): Float64Array {
  return multiply(transpose(a, rows, cols), a, cols, rows, cols);
}

/** Frobenius norm of A - U S V^T in f64. */
export function residual(factors: SingularTriplets, matrix: Float32Array, rows: number, cols: number): number {
  const rank = factors.values.length;
  const scaled = factors.left.map((entry, i) => entry * factors.values[i % rank]!);
  const product = multiply(scaled, transpose(factors.right, cols, rank), rows, rank, cols);
  let squares = 0;
  for (const [i, entry] of product.entries()) squares += (matrix[i]! - entry) ** 2;
  return Math.sqrt(squares);
}
