import { ENERGY_LEVELS, type EnergyLevel } from '../base/energyLevels.ts';
import { mapNumbers } from '../base/mapNumbers.ts';
import { breakEvenRank } from '../base/shape.ts';
import type { Measures } from '../model/findings.ts';
import { powerLawFit } from './powerLaw.ts';

/**
 * eps of the arithmetic in which values are computed. Devices compute in f32 whatever the stored type. Types of up to
 * 32 bits lose nothing by that; F64 tensors are rounded to f32 first, so that anything below this is rounding for them
 * too.
 */
export const WORKING_EPSILON = 2 ** -23;

/**
 * All rank measures of an m x n matrix from its min(m, n) singular values, which descend and are not negative.
 * `noiseDeviation` is the robust standard deviation of its entries (`entries.ts`). Every rank of a zero matrix is 0. No
 * threshold counts values that are mere rounding (see `numericalFloor`), so the noise rank of a rank-deficient matrix
 * never exceeds its numerical rank.
 */
export function measures(
  singularValues: ArrayLike<number>,
  shape: readonly [number, number],
  noiseDeviation: number,
): Measures {
  const spectralNorm = singularValues[0] ?? 0;
  // From here on relative to sigma_1, so that squares neither overflow nor vanish.
  const values = mapNumbers(singularValues, (value) => (spectralNorm > 0 ? value / spectralNorm : 0));
  const energies = values.map(square);
  const energy = sum(energies);
  const edge = noiseEdge(shape, noiseDeviation);
  const floor = numericalFloor(shape);
  const fit = powerLawFit(energies.subarray(0, countAbove(values, floor)));
  return {
    frobeniusNorm: spectralNorm * Math.sqrt(energy),
    spectralNorm,
    effectiveRank: effectiveRank(values),
    effectiveRankEnergy: effectiveRank(energies),
    stableRank: energy,
    participationRatio: energy > 0 ? energy ** 2 / sum(energies.map(square)) : 0,
    numericalRank: countAbove(values, floor),
    noiseRank: spectralNorm > 0 ? countAbove(values, Math.max(floor, edge / spectralNorm)) : 0,
    noiseDeviation,
    noiseEdge: edge,
    optimalThresholdRank: countAbove(values, Math.max(floor, optimalThreshold(shape) * median(values))),
    energyRanks: energyRanks(energies),
    breakEvenRank: breakEvenRank(...shape),
    alpha: fit?.alpha ?? null,
    alphaDistance: fit?.distance ?? null,
  };
}

/**
 * For each level e, the smallest k with sum_{i<=k} lambda_i >= e sum lambda, from descending lambda_i = sigma_i^2. The
 * best rank-k approximation then has a relative Frobenius error of at most sqrt(1 - e) (Eckart and Young 1936).
 */
export function energyRanks(energies: ArrayLike<number>): Record<EnergyLevel, number> {
  const total = sum(energies);
  const rank = (share: number) => {
    let kept = 0;
    let k = 0;
    while (k < energies.length && kept < share * total) kept += energies[k++]!;
    return k;
  };
  return Object.fromEntries(ENERGY_LEVELS.map((level) => [level, rank(Number(level))])) as Record<EnergyLevel, number>;
}

/**
 * exp(-sum q_i ln q_i) with q_i = weights_i / sum weights (Roy and Vetterli, "The effective rank", EUSIPCO 2007). The
 * weights of the paper are the singular values; with their squares, the result is smaller and is called
 * `effectiveRankEnergy` here.
 */
export function effectiveRank(weights: ArrayLike<number>): number {
  const total = sum(weights);
  if (!(total > 0)) return 0;
  let entropy = 0;
  for (let i = 0; i < weights.length; i++) {
    const share = weights[i]! / total;
    if (share > 0) entropy -= share * Math.log(share);
  }
  return Math.exp(entropy);
}

/**
 * s (sqrt m + sqrt n), the limit of the largest singular value of an m x n matrix of independent noise with standard
 * deviation s (Marchenko and Pastur 1967; Bai and Yin 1993).
 */
export function noiseEdge([m, n]: readonly [number, number], noiseDeviation: number): number {
  return noiseDeviation * (Math.sqrt(m) + Math.sqrt(n));
}

/**
 * max(m, n) eps, relative to sigma_1: values at or below it are rounding, by the usual convention for the numerical
 * rank.
 */
export function numericalFloor([m, n]: readonly [number, number]): number {
  return Math.max(m, n) * WORKING_EPSILON;
}

/**
 * omega(beta), which times the median singular value is the threshold of least mean squared error under noise of
 * unknown level (Gavish and Donoho, "The optimal hard threshold for singular values is 4/sqrt(3)", 2014, equation 5).
 */
export function optimalThreshold([m, n]: readonly [number, number]): number {
  const beta = Math.min(m, n) / Math.max(m, n, 1);
  return 0.56 * beta ** 3 - 0.95 * beta ** 2 + 1.82 * beta + 1.43;
}

const square = (value: number) => value * value;

function countAbove(descending: ArrayLike<number>, threshold: number): number {
  let low = 0;
  let high = descending.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (descending[middle]! > threshold) low = middle + 1;
    else high = middle;
  }
  return low;
}

function median(descending: Float64Array): number {
  const half = descending.length / 2;
  return ((descending[Math.ceil(half) - 1] ?? 0) + (descending[Math.floor(half)] ?? descending[0] ?? 0)) / 2;
}

function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i]!;
  return total;
}
