import { ENERGY_LEVELS } from '../../src/base/energyLevels.ts';
import type { MatrixFinding } from '../../src/model/findings.ts';

/** What a heatmap cell can show. */
export interface Measure {
  readonly id: string;
  readonly label: string;
  /** One or two sentences for a person who meets the measure for the first time. */
  readonly explanation: string;
  /** `rank`: a count of directions, which can be set against the full rank or the break-even rank. */
  readonly kind: 'rank' | 'number';
  /** Norms spread over decades: their colours follow the logarithm. */
  readonly scale: 'linear' | 'log';
  /** Only a matrix that is stored quantized has it; the list of others passes over it. */
  readonly quantizedOnly?: boolean;
  /** null where the matrix has no such value. */
  readonly value: (finding: MatrixFinding) => number | null;
}

/** What a rank is set against: nothing, the full rank p = min(m, n), or the rank above which factors are larger than the matrix. */
export type Basis = 'absolute' | 'full' | 'breakEven';

export const BASES: readonly { readonly id: Basis; readonly label: string }[] = [
  { id: 'full', label: 'of full rank' },
  { id: 'breakEven', label: 'of break-even' },
  { id: 'absolute', label: 'absolute' },
];

const energyMeasures: readonly Measure[] = ENERGY_LEVELS.map((level) => ({
  id: `energyRank${level}`,
  label: `Rank for ${Number(level) * 100} % energy`,
  explanation:
    `The smallest rank that keeps ${Number(level) * 100} % of the energy (the summed squared singular values). ` +
    `The best approximation of that rank is off by ${percentText(Math.sqrt(1 - Number(level)))} of the matrix's norm.`,
  kind: 'rank',
  scale: 'linear',
  value: (finding) => finding.energyRanks[level],
}));

export const MEASURES: readonly Measure[] = [
  rank(
    'effectiveRank',
    'Effective rank',
    'How many directions share the work, if all did an equal part: exp of the entropy of the singular values (Roy and Vetterli 2007).',
    (finding) => finding.effectiveRank,
  ),
  ...energyMeasures,
  rank(
    'effectiveRankEnergy',
    'Effective rank (energy)',
    'The same entropy over the squared singular values: strong directions weigh more, so it lies below the effective rank.',
    (finding) => finding.effectiveRankEnergy,
  ),
  rank(
    'stableRank',
    'Stable rank',
    'Energy divided by the largest squared singular value (Rudelson and Vershynin 2007). Near 1, one direction dominates.',
    (finding) => finding.stableRank,
  ),
  rank(
    'participationRatio',
    'Participation ratio',
    'Squared sum over sum of squares of the energies: the number of directions that hold most of the energy.',
    (finding) => finding.participationRatio,
  ),
  rank(
    'numericalRank',
    'Numerical rank',
    'Singular values above rounding error, max(m, n) · eps · σ₁. Below min(m, n), some directions are exactly redundant.',
    (finding) => finding.numericalRank,
  ),
  rank(
    'noiseRank',
    'Rank above noise',
    'Singular values above the Marchenko-Pastur edge s(√m + √n): what a random matrix with the same bulk would not have.',
    (finding) => finding.noiseRank,
  ),
  {
    ...rank(
      'quantizationRank',
      'Rank above quantization',
      'Singular values above the quantization edge: the directions that survived the rounding of the weights. The others may be rounding alone.',
      (finding) => finding.quantizationRank ?? null,
    ),
    quantizedOnly: true,
  },
  rank(
    'optimalThresholdRank',
    'Optimal threshold rank',
    'Singular values worth keeping if the rest is noise of unknown size (Gavish and Donoho 2014).',
    (finding) => finding.optimalThresholdRank,
  ),
  rank(
    'breakEvenRank',
    'Break-even rank',
    'mn / (m + n): two factors of a higher rank hold more parameters than the matrix itself.',
    // An adapter is held as factors: it has nothing to break even with.
    (finding) => (finding.adapter ? null : finding.breakEvenRank),
  ),
  number(
    'alpha',
    'Tail exponent α',
    'Power-law exponent of the eigenvalue density (Clauset, Shalizi, Newman 2009). Well-trained layers are often between 2 and 6. Needs 50 values.',
    (finding) => finding.alpha,
  ),
  number(
    'alphaDistance',
    'Tail fit distance',
    'Kolmogorov-Smirnov distance of that power law from the data: above about 0.1 the exponent says little.',
    (finding) => finding.alphaDistance,
  ),
  number(
    'spectralNorm',
    'Spectral norm',
    'The largest singular value σ₁: the most the matrix can stretch a vector.',
    (finding) => finding.spectralNorm,
    'log',
  ),
  number(
    'frobeniusNorm',
    'Frobenius norm',
    'Square root of the energy: the size of all entries together.',
    (finding) => finding.frobeniusNorm,
    'log',
  ),
  number(
    'noiseDeviation',
    'Noise deviation',
    'Robust standard deviation s of the bulk of the entries.',
    (finding) => finding.noiseDeviation,
    'log',
  ),
  number(
    'noiseEdge',
    'Noise edge',
    's(√m + √n): the largest singular value that pure noise of that deviation would have.',
    (finding) => finding.noiseEdge,
    'log',
  ),
  {
    ...number(
      'quantizationDeviation',
      'Rounding deviation',
      'Standard deviation s of the error that rounding left in each entry, estimated from the widths d of the steps: s² is the mean of d² / 12.',
      (finding) => finding.quantizationDeviation ?? null,
      'log',
    ),
    quantizedOnly: true,
  },
  {
    ...number(
      'quantizationEdge',
      'Quantization edge',
      's(√m + √n): the largest singular value that the rounding errors alone would have. What lies below it may be rounding and not weights.',
      (finding) => finding.quantizationEdge ?? null,
      'log',
    ),
    quantizedOnly: true,
  },
];

export function measureById(id: string): Measure {
  return MEASURES.find((measure) => measure.id === id) ?? MEASURES[0]!;
}

/** The number that stands for `finding`: for a rank, set against `basis`; null where there is none. */
export function shownValue(measure: Measure, basis: Basis, finding: MatrixFinding): number | null {
  const value = measure.value(finding);
  if (value === null || !Number.isFinite(value)) return null;
  if (measure.kind !== 'rank' || basis === 'absolute') return value;
  return value / (basis === 'full' ? fullRank(finding) : Math.max(1, finding.breakEvenRank));
}

/** The highest rank there can be: of an adapter's update that of its factors. */
export function fullRank({ shape, adapter }: MatrixFinding): number {
  return Math.min(...shape, adapter?.rank ?? Number.POSITIVE_INFINITY);
}

/** Whether `shownValue` is a share, to be written as percent. */
export function isShare(measure: Measure, basis: Basis): boolean {
  return measure.kind === 'rank' && basis !== 'absolute';
}

function rank(id: string, label: string, explanation: string, value: Measure['value']): Measure {
  return { id, label, explanation, kind: 'rank', scale: 'linear', value };
}

function number(
  id: string,
  label: string,
  explanation: string,
  value: Measure['value'],
  scale: Measure['scale'] = 'linear',
): Measure {
  return { id, label, explanation, kind: 'number', scale, value };
}

function percentText(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
