/** The number of elements of a tensor of this shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((count, size) => count * size, 1);
}

/** Parameters of the rank-r factors of an m x n matrix: B (m x r) and A (r x n), or U, S and V with r values in S. */
export function factorParameters(m: number, n: number, rank: number, factors: 2 | 3 = 2): number {
  return rank * (m + n + (factors === 3 ? 1 : 0));
}

/** The largest rank whose factors are no larger than the matrix: floor(m n / (m + n)), or m + n + 1 with three. */
export function breakEvenRank(m: number, n: number, factors: 2 | 3 = 2): number {
  return m + n === 0 ? 0 : Math.floor((m * n) / factorParameters(m, n, 1, factors));
}
