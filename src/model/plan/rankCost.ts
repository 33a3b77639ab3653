/** What a rank costs and what it keeps: pure arithmetic on a spectrum, small enough for the page. Energies are squared values. */

/** Parameters of an m x n matrix as r-rank factors: A (r x n) and B (m x r), with a third (r values) for U, S, V. */
export function factorParameters(m: number, n: number, rank: number, factors: 2 | 3 = 2): number {
  return rank * (m + n + (factors === 3 ? 1 : 0));
}

/** Largest rank whose factors are no larger than the matrix; 0 where even rank 1 is. Above it a rank is never a saving. */
export function breakEvenRank(m: number, n: number, factors: 2 | 3 = 2): number {
  return Math.floor((m * n) / factorParameters(m, n, 1, factors));
}

/** Parameters that LoRA of rank r trains beside an m x n matrix (Hu et al. 2021, section 4.1). */
export function loraParameters(m: number, n: number, rank: number): number {
  return factorParameters(m, n, rank);
}

/** Scale of a LoRA update: alpha / r, or alpha / sqrt r with rank stabilization (Kalajdzievski 2023). */
export function loraScale(alpha: number, rank: number, rankStabilized = false): number {
  return alpha / (rankStabilized ? Math.sqrt(rank) : rank);
}

/**
 * tail[r] = sum of the squared values from index r on, r = 0 .. p; summed from the small end, so that a tiny tail keeps its digits.
 * With it every rank's energy and error is one division: what a slider at 60 frames a second needs.
 */
export function tailEnergies(singularValues: ArrayLike<number>): Float64Array {
  const tail = new Float64Array(singularValues.length + 1);
  let sum = 0;
  for (let i = singularValues.length - 1; i >= 0; i--) {
    const value = singularValues[i]!;
    sum += value * value;
    tail[i] = sum;
  }
  return tail;
}

/** Share of the energy that the r leading values hold, in [0, 1]; 1 for a zero matrix. */
export function energyKept(singularValues: ArrayLike<number>, rank: number): number {
  return 1 - lostShare(tailEnergies(singularValues), rank);
}

/** ||W - W_r||_F / ||W||_F of the best rank-r approximation (Eckart and Young 1936); 0 for a zero matrix. */
export function relativeError(singularValues: ArrayLike<number>, rank: number): number {
  return Math.sqrt(lostShare(tailEnergies(singularValues), rank));
}

/** The squared relative error of rank r from `tailEnergies`. */
export function lostShare(tail: Float64Array, rank: number): number {
  const total = tail[0]!;
  return total > 0 ? tail[Math.min(rank, tail.length - 1)]! / total : 0;
}

/** Smallest rank with a squared relative error of at most `share`, by bisection on `tailEnergies`. */
export function rankForLostShare(tail: Float64Array, share: number): number {
  const bound = share * tail[0]!;
  let low = 0;
  let high = tail.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (tail[middle]! <= bound) high = middle;
    else low = middle + 1;
  }
  return low;
}
