import { RankscopeError } from '../../base/errors.ts';
import { type Dense, dense, householderQr, transposed } from './qr.ts';

const EPSILON = 2 ** -52;
const SWEEP_LIMIT = 60;

export interface Svd {
  /** m x p, orthonormal columns, p = min(m, n). */
  readonly left: Dense;
  /** Descending. */
  readonly values: Float64Array;
  /** n x p, orthonormal columns. */
  readonly right: Dense;
}

/**
 * Full SVD in f64 by one-sided Jacobi rotations of R^T from a QR (Hestenes 1958; Drmac and Veselic 2008 for the
 * preconditioning). Each value is accurate to a few eps sigma_1, which makes this the truth for devices that compute in
 * f32. Written for clarity and small matrices. `afterSweep` is awaited after each sweep and may throw.
 */
export async function jacobiSvd(a: Dense, afterSweep: (share: number) => Promise<void> = async () => {}): Promise<Svd> {
  if (a.rows < a.cols) {
    const { left, values, right } = await jacobiSvd(transposed(a), afterSweep);
    return { left: right, values, right: left };
  }
  const n = a.cols;
  const { q, r } = householderQr(a);
  // The rows of `x` are the columns of R^T, so that rotations run along memory. The rows of `j` accumulate the
  // rotations.
  const x = dense(n, n, r.data.slice());
  const j = dense(n, n);
  for (let i = 0; i < n; i++) j.data[i * n + i] = 1;
  for (let sweep = 0; rotateAll(x, j); sweep++) {
    if (sweep === SWEEP_LIMIT) throw new RankscopeError('engine', 'reference', 'Jacobi rotations did not converge');
    await afterSweep(Math.min(1, sweep / 8));
  }
  return assemble(q, x, j);
}

/** One sweep over all pairs of rows. Returns false once all are orthogonal to working precision. */
function rotateAll(x: Dense, j: Dense): boolean {
  const n = x.cols;
  let largest = 0;
  for (let i = 0; i < n; i++) largest = Math.max(largest, dot(x, i, i));
  let rotated = false;
  for (let p = 0; p < n - 1; p++) {
    for (let q = p + 1; q < n; q++) {
      const alpha = dot(x, p, p);
      const beta = dot(x, q, q);
      const gamma = dot(x, p, q);
      // The second bound skips rows that are mere rounding relative to sigma_1, which would be rotated forever.
      if (Math.abs(gamma) <= EPSILON * Math.max(Math.sqrt(alpha * beta), EPSILON * largest)) continue;
      rotated = true;
      const zeta = (beta - alpha) / (2 * gamma);
      const t = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.hypot(1, zeta));
      const c = 1 / Math.hypot(1, t);
      rotate(x, p, q, c, c * t);
      rotate(j, p, q, c, c * t);
    }
  }
  return rotated;
}

/** R = J diag(values) U^T with orthogonal rows x = values U^T, so A = (Q J) diag(values) U^T. */
function assemble(q: Dense, x: Dense, j: Dense): Svd {
  const n = x.cols;
  const norms = Float64Array.from({ length: n }, (_, i) => Math.sqrt(dot(x, i, i)));
  const order = Array.from(norms.keys()).sort((one, other) => norms[other]! - norms[one]!);
  const values = Float64Array.from(order, (i) => norms[i]!);
  const floor = EPSILON * n * (values[0] ?? 0);
  const scaled = dense(n, n);
  for (const [k, i] of order.entries()) {
    for (let c = 0; c < n; c++) scaled.data[c * n + k] = norms[i]! > floor ? x.data[i * n + c]! / norms[i]! : 0;
  }
  // QR completes the basis with directions for the zero values; the signs that it flips in the others are restored.
  const { q: right, r } = householderQr(scaled);
  for (let k = 0; k < n; k++) {
    if (r.data[k * n + k]! < 0) for (let c = 0; c < n; c++) right.data[c * n + k]! *= -1;
  }
  const left = dense(q.rows, n);
  for (let i = 0; i < q.rows; i++) {
    for (const [k, row] of order.entries()) {
      let sum = 0;
      for (let c = 0; c < n; c++) sum += q.data[i * n + c]! * j.data[row * n + c]!;
      left.data[i * n + k] = sum;
    }
  }
  return { left, values, right };
}

function dot({ cols, data }: Dense, p: number, q: number): number {
  let sum = 0;
  for (let i = 0; i < cols; i++) sum += data[p * cols + i]! * data[q * cols + i]!;
  return sum;
}

function rotate({ cols, data }: Dense, p: number, q: number, c: number, s: number): void {
  for (let i = 0; i < cols; i++) {
    const one = data[p * cols + i]!;
    const other = data[q * cols + i]!;
    data[p * cols + i] = c * one - s * other;
    data[q * cols + i] = s * one + c * other;
  }
}
