import { RankscopeError } from '../../base/errors.ts';
import type { ExtractSpread, ExtractTarget } from './extraction.ts';

/** What is known of a difference when its rank is chosen. */
export interface KnownDifference {
  readonly shape: readonly [number, number];
  /** ||W1 - W0||_F^2. */
  readonly energy: number;
  /** Its leading singular values, descending. */
  readonly values: Float64Array;
  /** The number of values that rounding does not explain. */
  readonly aboveRounding: number | null;
}

/** Relative rounding of the sums of squares of values in f32. */
const ROUNDING = 1e-6;
/** The largest rank that is chosen without being asked for. */
const MOST_BY_DEFAULT = 64;

/**
 * A rank from 1 on for each difference. One budget over all keeps the singular values with the largest
 * sigma^2 / (m + n), the error that a parameter saves: this is the least error for the parameters spent.
 * @throws RankscopeError 'wrong-use' for a number of parameters that does not suffice for rank 1 everywhere
 */
export function extractedRanks(
  differences: readonly KnownDifference[],
  target: ExtractTarget | undefined,
  spread: ExtractSpread,
): number[] {
  if (!target)
    return differences.map((each) => {
      // Not known where all the values that were computed are above rounding.
      const { aboveRounding, values } = each;
      return clamp(each, Math.min(MOST_BY_DEFAULT, aboveRounding ?? values.length));
    });
  const { by, value } = target;
  if (spread === 'all' || by === 'parameters') return spreadOverAll(differences, target);
  if (by === 'rank') return differences.map((each) => clamp(each, value));
  return differences.map((each) => clamp(each, leastRank(each, allowedRest(target, each.energy))));
}

/** The squared error that a target allows of a squared norm. */
function allowedRest({ by, value }: ExtractTarget, energy: number): number {
  return (by === 'energy' ? 1 - value : value * value) * energy;
}

const clamp = ({ shape, values }: KnownDifference, rank: number) =>
  Math.max(1, Math.min(rank, ...shape, values.length || Number.POSITIVE_INFINITY));

/** The least rank that leaves at most `rest` of the energy; as many as there are values if none does. */
export function leastRank({ energy, values, shape }: Omit<KnownDifference, 'aboveRounding'>, rest: number): number {
  // From the end, where the sum does not cancel. Behind fewer values than all, a difference of sums says what is left.
  let left = values.length === Math.min(...shape) ? 0 : Math.max(ROUNDING * energy, energy - squares(values));
  let rank = values.length;
  while (rank > 0 && left + values[rank - 1]! ** 2 <= rest) left += values[--rank]! ** 2;
  return rank;
}

function spreadOverAll(differences: readonly KnownDifference[], target: ExtractTarget): number[] {
  const costs = differences.map(({ shape: [m, n] }) => m + n);
  const ranks = differences.map(() => 1);
  const total = differences.reduce((sum, { energy }) => sum + energy, 0);
  const next = differences.flatMap(({ values }, index) =>
    Array.from(values.subarray(1), (value, k) => ({ index, gain: value * value, k: k + 2 })),
  );
  // Stable: equal gains of one matrix stay in the order of its values.
  next.sort((a, b) => b.gain / costs[b.index]! - a.gain / costs[a.index]!);
  let spent = costs.reduce((sum, cost) => sum + cost, 0);
  let left = total - differences.reduce((sum, { values }) => sum + (values[0] ?? 0) ** 2, 0);
  const budget =
    target.by === 'parameters'
      ? target.value
      : target.by === 'rank'
        ? differences.reduce((sum, { shape }, index) => sum + Math.min(target.value, ...shape) * costs[index]!, 0)
        : undefined;
  if (budget !== undefined && budget < spent)
    throw new RankscopeError(
      'wrong-use',
      'parameters',
      `${budget} parameters do not suffice: rank 1 of all changed matrices takes ${spent}`,
      'Allow more, or leave matrices out',
    );
  const rest = budget === undefined ? allowedRest(target, total) : undefined;
  for (const { index, gain } of next) {
    if (rest !== undefined && left <= rest) break;
    if (budget !== undefined && spent + costs[index]! > budget) continue;
    if (gain === 0) break;
    ranks[index]!++;
    spent += costs[index]!;
    left -= gain;
  }
  return ranks;
}

/**
 * The norm below which singular values of W1 - W0 are rounding: W1 was rounded to a type with a step of 2^-bits at 1,
 * so its entries are off by about 0.2 steps of their size. The largest singular value of such noise is
 * s (sqrt m + sqrt n).
 * @param norm ||W1||_F
 */
export function roundingEdge(norm: number, [m, n]: readonly [number, number], bits: number): number {
  const deviation = 0.21 * 2 ** -bits * (norm / Math.sqrt(m * n));
  return 1.5 * deviation * (Math.sqrt(m) + Math.sqrt(n));
}

/** Bits behind the leading one of a type's mantissa, for types that are rounded to; 23 for all others. */
export function mantissaBits(dtype: string): number {
  const bits: Readonly<Record<string, number>> = { BF16: 7, F16: 10, F8_E4M3: 3, F8_E5M2: 2 };
  return bits[dtype] ?? 23;
}

function squares(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value * value, 0);
}
