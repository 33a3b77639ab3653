import type { DiffedMatrix } from '../../src/model/diff/diff.ts';
import { formatPercent, formatValue } from '../ui/format.ts';

/** A number that a diff gives for each matrix. */
export interface DiffMeasure {
  readonly id: string;
  readonly label: string;
  readonly explanation: string;
  readonly scale: 'linear' | 'log';
  /** Null where it is not known; 0 where nothing differs. */
  readonly value: (matrix: DiffedMatrix) => number | null;
  readonly text: (value: number) => string;
}

const degrees = (value: number) => `${formatValue(Number(value.toPrecision(3)))}°`;
const short = (value: number) => formatValue(Number(value.toPrecision(3)));
const percent = (value: number) => formatPercent(Number(value.toPrecision(3)));

export const DIFF_MEASURES: readonly DiffMeasure[] = [
  {
    id: 'change',
    label: 'Relative change',
    explanation: 'The norm of the difference over the norm of the base.',
    scale: 'linear',
    value: ({ change }) => change,
    text: percent,
  },
  {
    id: 'rank',
    label: 'Rank of the difference',
    explanation: 'The rank that holds 99 % of the energy of the difference: what a LoRA needs to hold it.',
    scale: 'linear',
    value: ({ state, difference }) => (state === 'changed' ? (difference?.energyRanks['0.99'] ?? null) : 0),
    text: short,
  },
  {
    id: 'stableRank',
    label: 'Stable rank of the difference',
    explanation: 'The squared norm of the difference over its largest squared singular value.',
    scale: 'linear',
    value: ({ state, difference }) => (state === 'changed' ? (difference?.stableRank ?? null) : 0),
    text: short,
  },
  {
    id: 'values',
    label: 'Change of the singular values',
    explanation:
      'How much the leading singular values change, as a part of their norm. Continued training leaves them nearly as they were.',
    scale: 'linear',
    value: ({ state, valueChange }) => (state === 'changed' ? valueChange : 0),
    text: percent,
  },
  {
    id: 'turnOut',
    label: 'Turn of the outputs',
    explanation: 'How far the leading output subspace turns: the root mean square of its principal angles, in degrees.',
    scale: 'linear',
    value: ({ state, turn }) => (state === 'changed' ? (turn?.left.mean ?? null) : 0),
    text: degrees,
  },
  {
    id: 'turnIn',
    label: 'Turn of the inputs',
    explanation: 'How far the leading input subspace turns: the root mean square of its principal angles, in degrees.',
    scale: 'linear',
    value: ({ state, turn }) => (state === 'changed' ? (turn?.right.mean ?? null) : 0),
    text: degrees,
  },
];

export function diffMeasure(id: string): DiffMeasure {
  return DIFF_MEASURES.find((measure) => measure.id === id) ?? DIFF_MEASURES[0]!;
}
