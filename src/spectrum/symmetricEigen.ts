import { RankscopeError } from '../base/errors.ts';

export interface SymmetricEigen {
  /** In no order. */
  readonly values: Float64Array;
  /** rows[i][k] is the i-th requested component of eigenvector k. */
  readonly rows: readonly Float64Array[];
}

const ITERATION_LIMIT = 60;

/**
 * Eigenvalues of a symmetric n x n matrix in f64 (row-major, overwritten; only the lower triangle is read), the squares
 * of whose entries must not overflow, and the requested components of its eigenvectors, each of which costs O(n^2):
 * Householder tridiagonalisation, then implicit QL with Wilkinson's shift (Golub and Van Loan, 8.3; Golub and Welsch
 * 1969 for single components). For the small projected matrices of Krylov methods.
 */
export function symmetricEigen(matrix: Float64Array, size: number, components: readonly number[]): SymmetricEigen {
  const rows = components.map((component) => {
    const row = new Float64Array(size);
    row[component] = 1;
    return row;
  });
  const { values, off } = tridiagonalize(matrix, size, rows);
  // Off-diagonal entries at the rounding level of the largest value are negligible, even beside smaller values.
  const rounding = 2 ** -53 * values.reduce((norm, value, i) => Math.max(norm, Math.abs(value) + Math.abs(off[i]!)), 0);
  for (let l = 0; l < size; l++) {
    for (let iteration = 0; ; iteration++) {
      let m = l;
      while (m < size - 1 && !negligible(off[m]!, values[m]!, values[m + 1]!, rounding)) m++;
      if (m === l) break;
      if (iteration === ITERATION_LIMIT) throw new RankscopeError('engine', 'eigenvalues', 'QL did not converge');
      implicitStep(values, off, rows, l, m);
    }
  }
  return { values, rows };
}

const negligible = (off: number, one: number, other: number, rounding: number) =>
  Math.abs(off) <= Math.max(rounding, 2 ** -52 * (Math.abs(one) + Math.abs(other)));

/** One QL sweep over the block [l, m], which also rotates the rows. */
function implicitStep(
  values: Float64Array,
  off: Float64Array,
  rows: readonly Float64Array[],
  l: number,
  m: number,
): void {
  const half = (values[l + 1]! - values[l]!) / (2 * off[l]!);
  const reach = Math.hypot(half, 1);
  let g = values[m]! - values[l]! + off[l]! / (half + (half < 0 ? -reach : reach));
  let [c, s, p] = [1, 1, 0];
  for (let i = m - 1; i >= l; i--) {
    const f = s * off[i]!;
    const b = c * off[i]!;
    const r = Math.sqrt(f * f + g * g);
    off[i + 1] = r;
    if (r === 0) {
      values[i + 1]! -= p;
      off[m] = 0;
      return;
    }
    s = f / r;
    c = g / r;
    g = values[i + 1]! - p;
    const turned = (values[i]! - g) * s + 2 * c * b;
    p = s * turned;
    values[i + 1] = g + p;
    g = c * turned - b;
    for (const row of rows) {
      const next = row[i + 1]!;
      row[i + 1] = s * row[i]! + c * next;
      row[i] = c * row[i]! - s * next;
    }
  }
  values[l]! -= p;
  off[l] = g;
  off[m] = 0;
}

/** Returns the diagonal and off-diagonal (off[i] is between i and i + 1); applies the same reflections to the rows. */
function tridiagonalize(
  a: Float64Array,
  n: number,
  rows: readonly Float64Array[],
): { values: Float64Array; off: Float64Array } {
  const off = new Float64Array(n);
  const v = new Float64Array(n);
  const w = new Float64Array(n);
  for (let k = 0; k + 2 < n; k++) {
    let squares = 0;
    for (let i = k + 1; i < n; i++) squares += a[i * n + k]! ** 2;
    const scale = Math.sqrt(squares);
    const head = a[(k + 1) * n + k]!;
    const alpha = head > 0 ? -scale : scale;
    off[k] = alpha;
    if (scale === 0) continue;
    for (let i = k + 1; i < n; i++) v[i] = a[i * n + k]!;
    v[k + 1]! -= alpha;
    // H = I - v v^T / h; h = |v|^2 / 2.
    const h = scale * (scale + Math.abs(head));
    let dot = 0;
    for (let i = k + 1; i < n; i++) {
      let sum = a[i * n + i]! * v[i]!;
      const vi = v[i]!;
      w[i] = 0;
      // Each entry below the diagonal stands for the one above as well.
      for (let j = k + 1; j < i; j++) {
        const entry = a[i * n + j]!;
        sum += entry * v[j]!;
        w[j]! += entry * vi;
      }
      w[i]! += sum;
    }
    for (let i = k + 1; i < n; i++) {
      w[i]! /= h;
      dot += w[i]! * v[i]!;
    }
    for (let i = k + 1; i < n; i++) w[i]! -= (dot / (2 * h)) * v[i]!;
    for (let i = k + 1; i < n; i++) {
      const vi = v[i]!;
      const wi = w[i]!;
      for (let j = k + 1; j <= i; j++) a[i * n + j]! -= vi * w[j]! + wi * v[j]!;
    }
    for (const row of rows) {
      let sum = 0;
      for (let i = k + 1; i < n; i++) sum += row[i]! * v[i]!;
      for (let i = k + 1; i < n; i++) row[i]! -= (sum / h) * v[i]!;
    }
  }
  if (n > 1) off[n - 2] = a[(n - 1) * n + n - 2]!;
  return { values: Float64Array.from({ length: n }, (_, i) => a[i * n + i]!), off };
}
