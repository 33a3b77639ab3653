/** W' = B A, balanced: column i of b and row i of a have equal norms, so that neither leaves the range of its type. */
export interface BalancedFactors {
  /** m x k, row-major. */
  readonly b: Float32Array;
  /** k x n, row-major. */
  readonly a: Float32Array;
}

/** Scales the columns of b (m x k) and the rows of a (k x n) to equal norms, in place; what gives zero becomes zero. */
export function balanced(b: Float32Array, a: Float32Array, k: number): BalancedFactors {
  const [up, down] = [new Float64Array(k), new Float64Array(k)];
  const n = a.length / k;
  // Row by row: a step down a column of a large matrix leaves every cache.
  for (let row = 0; row < b.length; row += k) for (let i = 0; i < k; i++) up[i]! += b[row + i]! ** 2;
  for (let i = 0; i < k; i++) for (let at = i * n; at < (i + 1) * n; at++) down[i]! += a[at]! ** 2;
  // Of a column and a row with squared norms u and d, the common norm is (u d)^(1/4).
  const roots = up.map((squares, i) => Math.sqrt(Math.sqrt(squares) * Math.sqrt(down[i]!)));
  const left = roots.map((root, i) => (root > 0 ? root / Math.sqrt(up[i]!) : 0));
  const right = roots.map((root, i) => (root > 0 ? root / Math.sqrt(down[i]!) : 0));
  for (let row = 0; row < b.length; row += k) for (let i = 0; i < k; i++) b[row + i]! *= left[i]!;
  for (let i = 0; i < k; i++) for (let at = i * n; at < (i + 1) * n; at++) a[at]! *= right[i]!;
  return { b, a };
}
