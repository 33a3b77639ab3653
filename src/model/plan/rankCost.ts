/**
 * What a rank costs and what it loses: pure arithmetic on a spectrum, cheap enough for a page. Energies are squared
 * singular values.
 */
import { factorParameters } from '../../base/shape.ts';

/**
 * Parameters that LoRA of rank r trains beside an m x n matrix (Hu et al. 2021, section 4.1).
 * @reserved for writing adapters
 */
export function loraParameters(m: number, n: number, rank: number): number {
  return factorParameters(m, n, rank);
}

/** Scale of a LoRA update: alpha / r, or alpha / sqrt r with rank stabilization (Kalajdzievski 2023). */
export function loraScale(alpha: number, rank: number, rankStabilized = false): number {
  return alpha / (rankStabilized ? Math.sqrt(rank) : rank);
}

/**
 * tail[r] = sum of the squared values from index r on, r = 0 .. p, and of `rest`, the energy of values that are not
 * listed; summed from the small end, so that a tiny tail keeps its digits. The energy and error of any rank are then
 * one division, as a slider at 60 frames per second needs.
 */
export function tailEnergies(singularValues: ArrayLike<number>, rest = 0): Float64Array {
  // Behind what is not listed, nothing is lost.
  const tail = new Float64Array(singularValues.length + (rest > 0 ? 2 : 1));
  let sum = rest;
  tail[singularValues.length] = rest;
  for (let i = singularValues.length - 1; i >= 0; i--) {
    const value = singularValues[i]!;
    sum += value * value;
    tail[i] = sum;
  }
  return tail;
}

/**
 * The squared relative error of the best rank-r approximation, (||W - W_r||_F / ||W||_F)^2 (Eckart and Young 1936),
 * from `tailEnergies`; 0 for a zero matrix.
 */
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
