import { ENERGY_LEVELS } from '../../src/base/energyLevels.ts';
import type { ActivationFinding, MatrixFinding } from '../../src/model/findings.ts';
import type { Measure } from './measure.ts';

/** What the spectra of W and of W X have in common. */
type Spectral = Pick<ActivationFinding, keyof MatrixFinding & keyof ActivationFinding>;

/** A measure of a spectrum alone, which W has as well as W X. */
interface SpectralMeasure extends Omit<Measure, 'family' | 'value'> {
  readonly of: (spectrum: Spectral) => number;
}

const energyRanks: readonly SpectralMeasure[] = ENERGY_LEVELS.map((level) =>
  rank(
    `energyRank${level}`,
    `Rank for ${Number(level) * 100} % energy`,
    `The smallest rank that keeps ${Number(level) * 100} % of the energy (the sum of the squared singular values). ` +
      `The best approximation of that rank has a relative error of at most ${percentText(Math.sqrt(1 - Number(level)))}.`,
    ({ energyRanks: ranks }) => ranks[level],
  ),
);

const SPECTRAL: readonly SpectralMeasure[] = [
  rank(
    'effectiveRank',
    'Effective rank',
    'How many equally strong directions the matrix amounts to: exp of the entropy of the normalized singular values (Roy and Vetterli 2007).',
    (spectrum) => spectrum.effectiveRank,
  ),
  ...energyRanks,
  rank(
    'effectiveRankEnergy',
    'Effective rank (energy)',
    'The effective rank computed from the squared singular values. Strong directions weigh more, so it is lower.',
    (spectrum) => spectrum.effectiveRankEnergy,
  ),
  rank(
    'stableRank',
    'Stable rank',
    'Energy divided by the largest squared singular value (Rudelson and Vershynin 2007). Near 1, one direction dominates.',
    (spectrum) => spectrum.stableRank,
  ),
  rank(
    'participationRatio',
    'Participation ratio',
    'The squared sum of the energies over the sum of their squares: roughly the number of directions that hold most of the energy.',
    (spectrum) => spectrum.participationRatio,
  ),
  rank(
    'numericalRank',
    'Numerical rank',
    'The number of singular values above rounding error, max(m, n) · eps · σ₁. If it is below min(m, n), some directions are redundant.',
    (spectrum) => spectrum.numericalRank,
  ),
  norm(
    'spectralNorm',
    'Spectral norm',
    'The largest singular value σ₁: the most that the matrix can stretch a vector.',
    (spectrum) => spectrum.spectralNorm,
  ),
  norm(
    'frobeniusNorm',
    'Frobenius norm',
    'The square root of the energy, which is the root of the sum of all squared entries.',
    (spectrum) => spectrum.frobeniusNorm,
  ),
];

/** What W X is, for the explanation of its measures. */
const AS_SEEN =
  'Of W X, the matrix times its inputs on the text: directions that the inputs never take count for nothing, and frequent ones for more.';

/** The measures of the spectrum of W, by their ids. */
export const SPECTRAL_MEASURES: ReadonlyMap<string, Measure> = new Map(
  SPECTRAL.map(({ of, ...rest }) => [rest.id, { ...rest, family: 'weights', value: of }]),
);

/** The same measures of W X. */
export const ACTIVATION_MEASURES: readonly Measure[] = SPECTRAL.map(({ of, ...rest }) => ({
  ...rest,
  id: `${rest.id}.activations`,
  label: `${rest.label} of W X`,
  explanation: `${AS_SEEN} ${rest.explanation}`,
  family: 'activations',
  value: ({ activations }) => (activations ? of(activations) : null),
}));

/** By how much the ranks of W exceed those of W X. */
export const DIFFERENCE_MEASURES: readonly Measure[] = SPECTRAL.filter(({ kind }) => kind === 'rank').map(
  ({ of, ...rest }) => ({
    ...rest,
    id: `${rest.id}.difference`,
    label: `${rest.label}: W minus W X`,
    explanation: `By how much the rank of W exceeds that of W X. Where it is high, the weights alone would keep directions that the text does not use; where it is negative, the text uses directions that are weak in the weights. ${rest.explanation}`,
    family: 'difference',
    value: (finding) => (finding.activations ? of(finding) - of(finding.activations) : null),
  }),
);

function rank(id: string, label: string, explanation: string, of: SpectralMeasure['of']): SpectralMeasure {
  return { id, label, explanation, kind: 'rank', scale: 'linear', of };
}

function norm(id: string, label: string, explanation: string, of: SpectralMeasure['of']): SpectralMeasure {
  return { id, label, explanation, kind: 'number', scale: 'log', of };
}

function percentText(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
