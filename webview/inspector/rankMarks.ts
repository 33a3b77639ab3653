import type { EnergyLevel } from '../../src/base/energyLevels.ts';
import type { MatrixFinding } from '../../src/model/findings.ts';
import type { Mark } from '../charts/marks.ts';
import type { Theme } from '../charts/theme.ts';
import type { rankOutcomes } from './rankOutcome.ts';

/** The ranks marked in the curves, most important first: where labels collide, the earlier one stays. */
export function marksOf(
  outcomes: ReturnType<typeof rankOutcomes>,
  finding: MatrixFinding | undefined,
  theme: Theme,
): Mark[] {
  const { breakEven } = outcomes.at(1);
  const energy: readonly EnergyLevel[] = ['0.95', '0.99', '0.9', '0.999'];
  return [
    { name: 'break-even', rank: breakEven, color: theme.marks.breakEven, dash: [] },
    ...energy.map((level) => {
      const rank = finding?.provenance === 'exact' ? finding.energyRanks[level] : outcomes.rankForEnergy(Number(level));
      const percent = Number(level) * 100;
      return { name: `${percent} %`, percent, rank, color: theme.marks.energy, dash: [4, 3] };
    }),
    ...(finding && finding.numericalRank > 0 && finding.numericalRank < outcomes.fullRank
      ? [
          {
            name: 'numerical',
            rank: finding.numericalRank,
            color: theme.marks.numerical,
            dash: [1, 3],
          },
        ]
      : []),
  ];
}
