// Errors against the truth, LAPACK's singular values in float64.
import { ENERGY_LEVELS } from '../../src/base/energyLevels.ts';
import { measures } from '../../src/spectrum/measures.ts';

type Sizes = readonly [rows: number, cols: number];

/** The largest error of a singular value, in units of eps32 sqrt(max(m, n)) sigma_1. */
export function valuesError(found: ArrayLike<number>, truth: readonly number[], sizes: Sizes): number {
  const unit = 2 ** -23 * Math.sqrt(Math.max(...sizes)) * truth[0]!;
  return truth.reduce((most, right, i) => Math.max(most, Math.abs(found[i]! - right)), 0) / unit;
}

/**
 * The error of a truncation relative to the least possible, from its values `found`: a projection on orthonormal
 * factors loses the energy that its values do not hold.
 */
export function rankError(found: ArrayLike<number>, truth: readonly number[], rank: number): number {
  const energy = (values: ArrayLike<number>, from: number, to: number) => {
    let sum = 0;
    for (let i = from; i < to; i++) sum += values[i]! ** 2;
    return sum;
  };
  const left = energy(truth, 0, truth.length) - energy(found, 0, rank);
  return Math.sqrt(left / energy(truth, rank, truth.length));
}

/** The largest error of the energy ranks (in the order of `ENERGY_LEVELS`), divided by p. */
export function previewError(found: ArrayLike<number>, truth: readonly number[], sizes: Sizes): number {
  const { energyRanks } = measures(truth, sizes, 0);
  return Math.max(...ENERGY_LEVELS.map((level, i) => Math.abs(found[i]! - energyRanks[level]))) / truth.length;
}
