import type { EnergyLevel, MatrixFinding } from '../../src/model/findings.ts';
import type { rankOutcomes } from '../rankOutcome.ts';
import type { Theme } from './theme.ts';

/** A rank that the curves point out. */
export interface Mark {
  readonly label: string;
  readonly rank: number;
  readonly color: string;
  readonly dash: readonly number[];
}

/** The ranks worth pointing out, the most telling first: where two labels collide, the earlier one stays. */
export function marksOf(
  outcomes: ReturnType<typeof rankOutcomes>,
  finding: MatrixFinding | undefined,
  theme: Theme,
): Mark[] {
  const { breakEven } = outcomes.at(1);
  const energy: readonly EnergyLevel[] = ['0.95', '0.99', '0.9', '0.999'];
  return [
    { label: `break-even ${breakEven}`, rank: breakEven, color: theme.marks.breakEven, dash: [] },
    ...energy.map((level) => {
      const rank = finding?.provenance === 'exact' ? finding.energyRanks[level] : outcomes.rankForEnergy(Number(level));
      return { label: `${Number(level) * 100} % ${rank}`, rank, color: theme.marks.energy, dash: [4, 3] };
    }),
    ...(finding && finding.numericalRank > 0 && finding.numericalRank < outcomes.fullRank
      ? [
          {
            label: `numerical ${finding.numericalRank}`,
            rank: finding.numericalRank,
            color: theme.marks.numerical,
            dash: [1, 3],
          },
        ]
      : []),
  ];
}

/** Which labels can stand at `positions` (pixels, most important first) with `gap` between them. */
export function roomFor(positions: readonly number[], gap: number): boolean[] {
  const taken: number[] = [];
  return positions.map((position) => {
    if (taken.some((other) => Math.abs(other - position) < gap)) return false;
    taken.push(position);
    return true;
  });
}

/**
 * Indices to draw of a curve of `count` points: all, or evenly spaced ones joined with geometrically spaced ones, so that the head of
 * the spectrum keeps its shape on a logarithmic axis. First and last are always among them.
 */
export function sampledIndices(count: number, limit = 1600): number[] {
  if (count <= limit) return Array.from({ length: count }, (_, index) => index);
  const half = Math.floor(limit / 2);
  const chosen = new Set<number>();
  for (let i = 0; i < half; i++) {
    chosen.add(Math.round((i / (half - 1)) * (count - 1)));
    chosen.add(Math.round(count ** (i / (half - 1))) - 1);
  }
  return [...chosen].sort((a, b) => a - b);
}
