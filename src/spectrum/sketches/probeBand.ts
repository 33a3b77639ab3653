/**
 * The mean of positive samples, with a band that contains the expectation in about 99 of 100 cases: Student's t of the
 * logarithm of the mean, which is far less skewed than the mean itself where few directions dominate. All zero for
 * samples that are all zero.
 * @param samples at least two
 */
export function bandOfMean(samples: Float64Array): { mean: number; low: number; high: number } {
  const count = samples.length;
  const mean = samples.reduce((sum, value) => sum + value, 0) / count;
  if (mean === 0) return { mean, low: 0, high: 0 };
  const variance = samples.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1);
  const spread = Math.exp((studentQuantile(count - 1) * Math.sqrt(variance / count)) / mean);
  return { mean, low: mean / spread, high: mean * spread };
}

/** The 0.995 quantile of the normal distribution. */
const Z = 2.5758293035489;

/** The 0.995 quantile of Student's distribution (Abramowitz and Stegun, 26.7.5): to 1e-3 from 7 degrees on. */
function studentQuantile(degrees: number): number {
  const z2 = Z * Z;
  const terms = [
    1,
    (z2 + 1) / 4,
    ((5 * z2 + 16) * z2 + 3) / 96,
    (((3 * z2 + 19) * z2 + 17) * z2 - 15) / 384,
    ((((79 * z2 + 776) * z2 + 1482) * z2 - 1920) * z2 - 945) / 92160,
  ];
  return terms.reduce((sum, term, power) => sum + (Z * term) / degrees ** power, 0);
}
