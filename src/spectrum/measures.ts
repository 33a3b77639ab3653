import { ENERGY_LEVELS, type EnergyLevel } from '../base/energyLevels.ts';
import { breakEvenRank } from '../base/shape.ts';
import type { Measures } from '../model/findings.ts';
import { powerLawFit } from './powerLaw.ts';

/**
 * eps of the arithmetic that values are computed in. Engines compute in f32 whatever the stored type: weights of 32 bits and fewer lose
 * nothing by it, F64 tensors are rounded to f32 first, so what lies below this is rounding and not information for them either.
 */
export const WORKING_EPSILON = 2 ** -23;

/**
 * All rank measures of an m x n matrix from its singular values (min(m, n) of them, descending, none negative).
 * `noiseDeviation` is the robust standard deviation of its entries (`entries.ts`). An all-zero matrix has every rank 0. A value that is
 * only rounding (see `numericalRank`) is never counted by a threshold, so a rank-deficient matrix has no noise rank above its numerical rank.
 */
export function measures(
  singularValues: ArrayLike<number>,
  shape: readonly [number, number],
  noiseDeviation: number,
): Measures {
  const spectralNorm = singularValues[0] ?? 0;
  // Everything below is relative to sigma_1, so that squares neither overflow nor vanish.
  const values = Float64Array.from(singularValues, (value) => (spectralNorm > 0 ? value / spectralNorm : 0));
  const energies = values.map((value) => value * value);
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
    participationRatio: energy > 0 ? energy ** 2 / sum(energies.map((value) => value * value)) : 0,
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
 * For each level e the smallest k with sum_{i<=k} lambda_i >= e sum lambda, from descending lambda_i = sigma_i^2. By Eckart and Young
 * (1936) the relative Frobenius error of the best rank-k approximation is sqrt(1 - e) or less.
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
 * exp(-sum q_i ln q_i) with q_i = weights_i / sum weights (Roy and Vetterli, "The effective rank", EUSIPCO 2007). With the singular values as
 * weights it is theirs; with their squares it is a smaller number, named `effectiveRankEnergy` here.
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
 * s (sqrt m + sqrt n): the largest singular value of an m x n matrix of independent noise of deviation s tends to it (Marchenko and Pastur
 * 1967; Bai and Yin 1993).
 */
export function noiseEdge([m, n]: readonly [number, number], noiseDeviation: number): number {
  return noiseDeviation * (Math.sqrt(m) + Math.sqrt(n));
}

/** Values at or below max(m, n) eps sigma_1 are rounding: LAPACK's convention for the rank. Relative to sigma_1. */
export function numericalFloor([m, n]: readonly [number, number]): number {
  return Math.max(m, n) * WORKING_EPSILON;
}

/**
 * omega(beta), by which the median singular value is multiplied to give the threshold of the least mean squared error under noise of unknown
 * level (Gavish and Donoho, "The optimal hard threshold for singular values is 4/sqrt(3)", 2014, equation 5).
 */
export function optimalThreshold([m, n]: readonly [number, number]): number {
  const beta = Math.min(m, n) / Math.max(m, n, 1);
  return 0.56 * beta ** 3 - 0.95 * beta ** 2 + 1.82 * beta + 1.43;
}

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
