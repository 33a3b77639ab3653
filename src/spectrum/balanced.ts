/** W' = B A, balanced: column i of b and row i of a have equal norms, so that neither leaves the range of its type. */
export interface BalancedFactors {
  /** m x k, row-major. */
  readonly b: Float32Array;
  /** k x n, row-major. */
  readonly a: Float32Array;
}

/** Scales the columns of b (m x k) and the rows of a (k x n) to equal norms, in place; what gives zero becomes zero. */
export function balanced(b: Float32Array, a: Float32Array, k: number): BalancedFactors {
  const [m, n] = [b.length / k, a.length / k];
  for (let i = 0; i < k; i++) {
    let [up, down] = [0, 0];
    for (let row = 0; row < m; row++) up += b[row * k + i]! ** 2;
    for (let col = 0; col < n; col++) down += a[i * n + col]! ** 2;
    const root = Math.sqrt(Math.sqrt(up) * Math.sqrt(down));
    const [left, right] = root > 0 ? [root / Math.sqrt(up), root / Math.sqrt(down)] : [0, 0];
    for (let row = 0; row < m; row++) b[row * k + i]! *= left;
    for (let col = 0; col < n; col++) a[i * n + col]! *= right;
  }
  return { b, a };
}
