import { formatWhole } from '../../base/quantities.ts';
import { extractedRanks, type KnownDifference } from './extractedRanks.ts';
import type { Extraction, ExtractSpread, ExtractTarget } from './extraction.ts';

/** How the ranks of an extraction are chosen. */
export interface ExtractChoice {
  /** The ranks above the rounding of the weights by default. */
  readonly target?: ExtractTarget;
  readonly spread?: ExtractSpread;
  readonly mostRank?: number;
}

/** What an extraction would give. */
export interface ExtractPreview {
  /** The smallest and the largest rank of a matrix. */
  readonly ranks: readonly [number, number];
  /** Of the factors. */
  readonly parameters: number;
  /** What the base with the adapter leaves of the difference, as a part of its norm. */
  readonly predictedError: number;
}

/**
 * What a choice of ranks would give, from an extraction that wrote nothing and carries its singular values. With
 * `saved`, tensors that LoRA does not hold are written whole where they can be.
 * @throws RankscopeError 'wrong-use' as `extractedRanks` does
 */
export function extractPreview(extraction: Extraction, choice: ExtractChoice, saved: boolean): ExtractPreview {
  const { matrices, others } = extraction;
  const { target, spread = target?.by === 'parameters' ? 'all' : 'each', mostRank = Number.POSITIVE_INFINITY } = choice;
  const known = matrices.map(({ shape, norm, values = [], aboveRounding }): KnownDifference => {
    return { shape, energy: norm * norm, values: Float64Array.from(values), aboveRounding };
  });
  // A budget over all does not count what no matrix may have.
  const allowed = known.map((each) => ({ ...each, values: each.values.subarray(0, mostRank) }));
  const ranks = extractedRanks(allowed, target, spread).map((rank) => Math.min(rank, mostRank));
  const total = extraction.totals.norm ** 2;
  let left = 0;
  let parameters = 0;
  for (const [index, { shape, energy, values }] of known.entries()) {
    const rank = ranks[index]!;
    parameters += rank * (shape[0] + shape[1]);
    const kept = values.subarray(0, rank).reduce((sum, value) => sum + value * value, 0);
    const tail = values.subarray(rank).reduce((sum, value) => sum + value * value, 0);
    // Where all values are known, their tail has more digits than a difference of sums.
    left += values.length === Math.min(...shape) ? tail : Math.max(tail, energy - kept);
  }
  for (const { share, module } of others) if (!saved || module === null) left += share * total;
  const predictedError = total > 0 ? Math.sqrt(left / total) : 0;
  return { ranks: [Math.min(...ranks), Math.max(...ranks)], parameters, predictedError };
}

/** Choices to look at, in the order of a list. */
export function usualChoices({ matrices }: Extraction): ExtractChoice[] {
  const most = Math.max(...matrices.map(({ shape }) => Math.min(...shape)));
  const of = (by: ExtractTarget['by'], values: readonly number[], spread: ExtractSpread): ExtractChoice[] =>
    values.map((value) => ({ target: { by, value }, spread }));
  const ranks = [1, 2, 4, 8, 16, 32, 64, 128].filter((rank) => rank <= most);
  return [
    {},
    ...of('rank', ranks, 'each'),
    // Over a single matrix, nothing is spread.
    ...of('rank', matrices.length > 1 ? ranks.slice(1) : [], 'all'),
    ...of('energy', [0.5, 0.9, 0.99], 'each'),
    ...of('error', [0.5, 0.3, 0.1], 'all'),
  ];
}

/** `rank 8 in each matrix`, `error 0.3 over all`. */
export function choiceText({ target, spread }: ExtractChoice): string {
  if (!target) return 'what rounding does not explain';
  const { by, value } = target;
  if (by === 'parameters') return `${formatWhole(value)} parameters over all`;
  return `${by} ${value} ${spread === 'all' ? 'over all' : 'in each matrix'}`;
}
