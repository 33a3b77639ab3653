// Small upper triangular matrices, row-major, size x size, on the host.

/** Pivots below this fraction of their diagonal entry are rejected: the squared condition number would show in f32. */
const LEAST_PIVOT = 1 / 16;

/**
 * R with R^T R = `gram` in f64, or undefined if a pivot is not above `leastPivot` times its diagonal entry; by default,
 * if that is too ill-conditioned for a Gram matrix formed in f32.
 */
export function cholesky(
  gram: Float32Array | Float64Array,
  size: number,
  leastPivot = LEAST_PIVOT,
): Float64Array | undefined {
  const r = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = i; j < size; j++) {
      let sum = gram[i * size + j]!;
      for (let k = 0; k < i; k++) sum -= r[k * size + i]! * r[k * size + j]!;
      if (j > i) r[i * size + j] = sum / r[i * size + i]!;
      else if (sum > leastPivot * gram[i * size + i]!) r[i * size + i] = Math.sqrt(sum);
      else return undefined;
    }
  }
  return r;
}

/** out <- r^-1. */
export function triangularInverse(r: Float64Array, size: number, out: Float32Array): void {
  out.fill(0);
  const column = new Float64Array(size);
  for (let j = 0; j < size; j++) {
    for (let i = j; i >= 0; i--) {
      let sum = i === j ? 1 : 0;
      for (let k = i + 1; k <= j; k++) sum -= r[i * size + k]! * column[k]!;
      column[i] = sum / r[i * size + i]!;
      out[i * size + j] = column[i]!;
    }
  }
}

/** The product of two upper triangular matrices. */
export function triangularProduct(a: Float32Array, b: Float32Array, size: number): Float32Array {
  const out = new Float32Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = i; j < size; j++) {
      let sum = 0;
      for (let k = i; k <= j; k++) sum += a[i * size + k]! * b[k * size + j]!;
      out[i * size + j] = sum;
    }
  }
  return out;
}
