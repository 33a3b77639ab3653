import { mapNumbers } from '../base/mapNumbers.ts';

/**
 * Fewer values cannot distinguish a power law from other tails (Clauset, Shalizi and Newman 2009; WeightWatcher's
 * limit).
 */
const LEAST_VALUES = 50;
/** Points of a tail that are checked before the whole of it. */
const FIRST_LOOK = 16;

export interface PowerLawFit {
  /** Exponent of the density, p(x) ~ x^-alpha above `start`. */
  readonly alpha: number;
  /** Kolmogorov-Smirnov distance between the tail and the fitted law. */
  readonly distance: number;
  /** The smallest value of the tail. */
  readonly start: number;
}

/**
 * Fits a power law to the tail of positive values given in descending order (Clauset, Shalizi and Newman, "Power-law
 * distributions in empirical data", 2009). For every possible start of the tail, the exponent is the maximum-likelihood
 * estimate 1 + k / sum ln(x_i / x_min); the start with the least Kolmogorov-Smirnov distance wins, as in WeightWatcher
 * for the eigenvalues of W^T W. Every value but the largest is tried as x_min: tools that search another range find
 * another exponent (test/bench/AGREEMENT.md). Returns undefined for fewer than 50 values, and if all values are equal.
 */
export function powerLawFit(descending: ArrayLike<number>): PowerLawFit | undefined {
  const count = descending.length;
  if (count < LEAST_VALUES) return undefined;
  const logs = mapNumbers(descending, Math.log);
  let best: PowerLawFit | undefined;
  let bound = Number.POSITIVE_INFINITY;
  let logSum = logs[0]!;
  for (let tail = 2; tail <= count; tail++) {
    logSum += logs[tail - 1]!;
    const start = logs[tail - 1]!;
    const alpha = 1 + tail / (logSum - tail * start);
    if (!Number.isFinite(alpha)) continue;
    // A few points reject most candidates, which reduces p^2 / 2 exponentials to a few p.
    if (distanceWithin(logs, tail, alpha, Math.max(1, Math.floor(tail / FIRST_LOOK)), bound) >= bound) continue;
    const distance = distanceWithin(logs, tail, alpha, 1, bound);
    if (distance >= bound) continue;
    bound = distance;
    best = { alpha, distance, start: Math.exp(start) };
  }
  return best;
}

/**
 * Distance between the `tail` largest values, of which every `stride`-th is looked at, and the law with this exponent;
 * no more of them if it reaches `bound`.
 */
function distanceWithin(logs: Float64Array, tail: number, alpha: number, stride: number, bound: number): number {
  const start = logs[tail - 1]!;
  let distance = 0;
  for (let i = 0; i < tail && distance < bound; i += stride) {
    // In ascending order, value i has position tail - 1 - i; the distribution function of the law is 1 - (x / start)^(1
    // - alpha).
    const law = 1 - Math.exp((1 - alpha) * (logs[i]! - start));
    distance = Math.max(distance, Math.abs(law - (tail - 1 - i) / tail));
  }
  return distance;
}
