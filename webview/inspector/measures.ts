import type { MatrixFinding } from '../../src/model/findings.ts';
import { type Measure, weightMeasure } from './measure.ts';
import { ACTIVATION_MEASURES, DIFFERENCE_MEASURES, SPECTRAL_MEASURES } from './spectralMeasures.ts';

/** What a rank is shown relative to: nothing, the full rank p = min(m, n), or the break-even rank. */
export type Basis = 'absolute' | 'full' | 'breakEven';

export const BASES: readonly { readonly id: Basis; readonly label: string }[] = [
  { id: 'full', label: 'of full rank' },
  { id: 'breakEven', label: 'of break-even' },
  { id: 'absolute', label: 'absolute' },
];

const spectral = (id: string): Measure => SPECTRAL_MEASURES.get(id)!;

const WEIGHT_MEASURES: readonly Measure[] = [
  ...[...SPECTRAL_MEASURES.values()].filter(({ kind }) => kind === 'rank'),
  weightMeasure(
    'rank',
    'noiseRank',
    'Rank above noise',
    'The number of singular values above the Marchenko-Pastur edge s(√m + √n), which a random matrix with the same noise would not exceed.',
    (finding) => finding.noiseRank,
  ),
  {
    ...weightMeasure(
      'rank',
      'quantizationRank',
      'Rank above quantization',
      'The number of singular values above the quantization edge: directions that survived the rounding of the weights. The others may be mere rounding.',
      (finding) => finding.quantizationRank ?? null,
    ),
    quantizedOnly: true,
  },
  weightMeasure(
    'rank',
    'optimalThresholdRank',
    'Optimal threshold rank',
    'The number of singular values to keep if the rest is noise of unknown level (Gavish and Donoho 2014).',
    (finding) => finding.optimalThresholdRank,
  ),
  weightMeasure(
    'rank',
    'breakEvenRank',
    'Break-even rank',
    'mn / (m + n): two factors of a higher rank have more parameters than the matrix itself.',
    // An adapter is stored as factors, so there is nothing to break even with.
    (finding) => (finding.adapter ? null : finding.breakEvenRank),
  ),
  weightMeasure(
    'number',
    'alpha',
    'Tail exponent α',
    'The exponent of a power law p(λ) ~ λ^-α that is fitted to the eigenvalues λ = σ² above some λ_min (Clauset, Shalizi and Newman 2009): maximum likelihood, for every λ_min from the smallest eigenvalue above rounding to the second largest; the least Kolmogorov-Smirnov distance wins. Well-trained layers are often between 2 and 6. Needs at least 50 eigenvalues. Tools that search another range of λ_min find another α.',
    (finding) => finding.alpha,
  ),
  weightMeasure(
    'number',
    'alphaDistance',
    'Tail fit distance',
    'The Kolmogorov-Smirnov distance between the power law of α and the eigenvalues from its λ_min on. Above about 0.1, the exponent says little.',
    (finding) => finding.alphaDistance,
  ),
  spectral('spectralNorm'),
  spectral('frobeniusNorm'),
  weightMeasure(
    'number',
    'noiseDeviation',
    'Noise deviation',
    'A robust standard deviation s of the bulk of the entries.',
    (finding) => finding.noiseDeviation,
    'log',
  ),
  weightMeasure(
    'number',
    'noiseEdge',
    'Noise edge',
    's(√m + √n): the largest singular value of pure noise with the noise deviation s.',
    (finding) => finding.noiseEdge,
    'log',
  ),
  {
    ...weightMeasure(
      'number',
      'quantizationDeviation',
      'Rounding deviation',
      'The standard deviation s of the rounding error of an entry, estimated from the quantization step sizes d: s² is the mean of d² / 12.',
      (finding) => finding.quantizationDeviation ?? null,
      'log',
    ),
    quantizedOnly: true,
  },
  {
    ...weightMeasure(
      'number',
      'quantizationEdge',
      'Quantization edge',
      's(√m + √n): the largest singular value of the rounding errors alone. Singular values below it may be rounding rather than weights.',
      (finding) => finding.quantizationEdge ?? null,
      'log',
    ),
    quantizedOnly: true,
  },
];

/** All measures: those of the weights, of the weights as the activations see them, and what these differ in. */
export const MEASURES: readonly Measure[] = [...WEIGHT_MEASURES, ...ACTIVATION_MEASURES, ...DIFFERENCE_MEASURES];

/** The measures to choose from: without statistics of the inputs, those of the weights alone. */
export function measuresFor(hasActivations: boolean): readonly Measure[] {
  return hasActivations ? MEASURES : WEIGHT_MEASURES;
}

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
