import { ENERGY_LEVELS } from '../../src/base/energyLevels.ts';
import type { MatrixFinding } from '../../src/model/findings.ts';

/** A number that heatmap cells can show. */
export interface Measure {
  readonly id: string;
  readonly label: string;
  /** One or two sentences for users who are new to the measure. */
  readonly explanation: string;
  /** `rank`: a number of directions, which can be shown relative to the full rank or the break-even rank. */
  readonly kind: 'rank' | 'number';
  /** Norms range over decades, so their colours follow the logarithm. */
  readonly scale: 'linear' | 'log';
  /** Whether only quantized matrices have the measure; it is hidden for others. */
  readonly quantizedOnly?: boolean;
  /** null if the matrix has no such value. */
  readonly value: (finding: MatrixFinding) => number | null;
}

/** What a rank is shown relative to: nothing, the full rank p = min(m, n), or the break-even rank. */
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
    `The smallest rank that keeps ${Number(level) * 100} % of the energy (the sum of the squared singular values). ` +
    `The best approximation of that rank has a relative error of at most ${percentText(Math.sqrt(1 - Number(level)))}.`,
  kind: 'rank',
  scale: 'linear',
  value: (finding) => finding.energyRanks[level],
}));

export const MEASURES: readonly Measure[] = [
  rank(
    'effectiveRank',
    'Effective rank',
    'How many equally strong directions the matrix amounts to: exp of the entropy of the normalized singular values (Roy and Vetterli 2007).',
    (finding) => finding.effectiveRank,
  ),
  ...energyMeasures,
  rank(
    'effectiveRankEnergy',
    'Effective rank (energy)',
    'The effective rank computed from the squared singular values. Strong directions weigh more, so it is lower.',
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
    'The squared sum of the energies over the sum of their squares: roughly the number of directions that hold most of the energy.',
    (finding) => finding.participationRatio,
  ),
  rank(
    'numericalRank',
    'Numerical rank',
    'The number of singular values above rounding error, max(m, n) · eps · σ₁. If it is below min(m, n), some directions are redundant.',
    (finding) => finding.numericalRank,
  ),
  rank(
    'noiseRank',
    'Rank above noise',
    'The number of singular values above the Marchenko-Pastur edge s(√m + √n), which a random matrix with the same noise would not exceed.',
    (finding) => finding.noiseRank,
  ),
  {
    ...rank(
      'quantizationRank',
      'Rank above quantization',
      'The number of singular values above the quantization edge: directions that survived the rounding of the weights. The others may be mere rounding.',
      (finding) => finding.quantizationRank ?? null,
    ),
    quantizedOnly: true,
  },
  rank(
    'optimalThresholdRank',
    'Optimal threshold rank',
    'The number of singular values to keep if the rest is noise of unknown level (Gavish and Donoho 2014).',
    (finding) => finding.optimalThresholdRank,
  ),
  rank(
    'breakEvenRank',
    'Break-even rank',
    'mn / (m + n): two factors of a higher rank have more parameters than the matrix itself.',
    // An adapter is stored as factors, so there is nothing to break even with.
    (finding) => (finding.adapter ? null : finding.breakEvenRank),
  ),
  number(
    'alpha',
    'Tail exponent α',
    'The exponent of a power law p(λ) ~ λ^-α that is fitted to the eigenvalues λ = σ² above some λ_min (Clauset, Shalizi and Newman 2009): maximum likelihood, for every λ_min from the smallest eigenvalue above rounding to the second largest; the least Kolmogorov-Smirnov distance wins. Well-trained layers are often between 2 and 6. Needs at least 50 eigenvalues. Tools that search another range of λ_min find another α.',
    (finding) => finding.alpha,
  ),
  number(
    'alphaDistance',
    'Tail fit distance',
    'The Kolmogorov-Smirnov distance between the power law of α and the eigenvalues from its λ_min on. Above about 0.1, the exponent says little.',
    (finding) => finding.alphaDistance,
  ),
  number(
    'spectralNorm',
    'Spectral norm',
    'The largest singular value σ₁: the most that the matrix can stretch a vector.',
    (finding) => finding.spectralNorm,
    'log',
  ),
  number(
    'frobeniusNorm',
    'Frobenius norm',
    'The square root of the energy, which is the root of the sum of all squared entries.',
    (finding) => finding.frobeniusNorm,
    'log',
  ),
  number(
    'noiseDeviation',
    'Noise deviation',
    'A robust standard deviation s of the bulk of the entries.',
    (finding) => finding.noiseDeviation,
    'log',
  ),
  number(
    'noiseEdge',
    'Noise edge',
    's(√m + √n): the largest singular value of pure noise with the noise deviation s.',
    (finding) => finding.noiseEdge,
    'log',
  ),
  {
    ...number(
      'quantizationDeviation',
      'Rounding deviation',
      'The standard deviation s of the rounding error of an entry, estimated from the quantization step sizes d: s² is the mean of d² / 12.',
      (finding) => finding.quantizationDeviation ?? null,
      'log',
    ),
    quantizedOnly: true,
  },
  {
    ...number(
      'quantizationEdge',
      'Quantization edge',
      's(√m + √n): the largest singular value of the rounding errors alone. Singular values below it may be rounding rather than weights.',
      (finding) => finding.quantizationEdge ?? null,
      'log',
    ),
    quantizedOnly: true,
  },
];

export function measureById(id: string): Measure {
  return MEASURES.find((measure) => measure.id === id) ?? MEASURES[0]!;
}

/** The value to show for `finding`, a rank relative to `basis`; null if there is none. */
export function shownValue(measure: Measure, basis: Basis, finding: MatrixFinding): number | null {
  const value = measure.value(finding);
  if (value === null || !Number.isFinite(value)) return null;
  if (measure.kind !== 'rank' || basis === 'absolute') return value;
  return value / (basis === 'full' ? fullRank(finding) : Math.max(1, finding.breakEvenRank));
}

/** The highest possible rank; for an adapter's update, the rank of its factors. */
export function fullRank({ shape, adapter }: MatrixFinding): number {
  return Math.min(...shape, adapter?.rank ?? Number.POSITIVE_INFINITY);
}

/** Whether `shownValue` is a share, to be shown as a percentage. */
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
