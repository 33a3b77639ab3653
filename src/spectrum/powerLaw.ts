/** Fewer values than this cannot tell a power law from anything else (Clauset, Shalizi and Newman's own caution; WeightWatcher's limit). */
const LEAST_VALUES = 50;
/** Points of a candidate's tail looked at before the whole tail is. */
const FIRST_LOOK = 16;

export interface PowerLawFit {
  /** Exponent of the density p(x) ~ x^-alpha above `start`. */
  readonly alpha: number;
  /** Kolmogorov-Smirnov distance between the tail and the fitted law. */
  readonly distance: number;
  /** The least value that belongs to the tail. */
  readonly start: number;
}

/**
 * Fits a power law to the tail of positive values given in descending order (Clauset, Shalizi and Newman, "Power-law distributions in
 * empirical data", 2009): for every possible start of the tail the maximum-likelihood exponent 1 + k / sum ln(x_i / x_min), and of these
 * the one with the least Kolmogorov-Smirnov distance, as WeightWatcher does for the eigenvalues of W^T W.
 * Undefined under 50 values, and where all values are equal.
 */
export function powerLawFit(descending: ArrayLike<number>): PowerLawFit | undefined {
  const count = descending.length;
  if (count < LEAST_VALUES) return undefined;
  const logs = Float64Array.from(descending, Math.log);
  let best: PowerLawFit | undefined;
  let logSum = logs[0]!;
  for (let tail = 2; tail <= count; tail++) {
    logSum += logs[tail - 1]!;
    const start = logs[tail - 1]!;
    const alpha = 1 + tail / (logSum - tail * start);
    if (!Number.isFinite(alpha)) continue;
    const distance = distanceBelow(logs, tail, alpha, best?.distance ?? Number.POSITIVE_INFINITY);
    if (distance !== undefined) best = { alpha, distance, start: Math.exp(start) };
  }
  return best;
}

/** The distance of the tail of `tail` values to the law with this exponent, or undefined once it is not below `bound`. */
function distanceBelow(logs: Float64Array, tail: number, alpha: number, bound: number): number | undefined {
  const start = logs[tail - 1]!;
  // Ascending position of value i in the tail is tail - 1 - i; the law's distribution function is 1 - (x / start)^(1 - alpha).
  const at = (i: number) => Math.abs(1 - Math.exp((1 - alpha) * (logs[i]! - start)) - (tail - 1 - i) / tail);
  // A few points settle most candidates, which turns p^2 / 2 exponentials into a few p.
  const stride = Math.max(1, Math.floor(tail / FIRST_LOOK));
  for (let i = 0; i < tail; i += stride) if (at(i) >= bound) return undefined;
  let distance = 0;
  for (let i = 0; i < tail; i++) {
    distance = Math.max(distance, at(i));
    if (distance >= bound) return undefined;
  }
  return distance;
}
