import { formatBytes, formatCount } from '../../base/quantities.ts';
import type { Plan } from '../../model/plan/plan.ts';
import { percent, shortNames } from '../table.ts';
import type { Judged } from './judgement.ts';

/** What `rankscope plan` chose, for conditions and reports. */
export const PLANNED: Judged<Plan> = {
  command: 'plan',
  metrics: [
    {
      name: 'error',
      meaning: 'predicted error of all matrices together',
      values: ({ totals }) => [{ subject: 'the plan', value: totals.error }],
    },
    {
      name: 'matrix-error',
      meaning: 'predicted error of any matrix',
      values: ({ matrices }) =>
        matrices.flatMap(({ name, rank, error }) => (rank === null ? [] : [{ subject: name, value: error }])),
    },
    {
      name: 'kept',
      meaning: 'share of the parameters that may be cut',
      values: ({ totals }) => [{ subject: 'the plan', value: totals.keptShare }],
    },
    {
      name: 'kept-of-model',
      meaning: 'share of all parameters',
      values: ({ totals }) => [{ subject: 'the plan', value: totals.keptShareOfModel }],
    },
    {
      name: 'bytes',
      meaning: 'of what may be cut, as factors',
      relativeTo: 'their bytes in the source',
      values: ({ totals }) => [{ subject: 'the plan', value: totals.bytesAfter, whole: totals.bytesBefore }],
    },
  ],
  summary: (plan) => {
    const { checkpoint, totals, unmet, notes = [] } = plan;
    return {
      title: `Rank plan for ${checkpoint.path}`,
      facts: [
        [
          'parameters that may be cut',
          `${formatCount(totals.parametersBefore)} become ${formatCount(totals.parametersAfter)} (${percent(totals.keptShare)})`,
        ],
        ['share of the whole model', percent(totals.keptShareOfModel)],
        ['size', `${formatBytes(totals.bytesBefore)} become ${formatBytes(Math.round(totals.bytesAfter))}`],
        ['predicted error', percent(totals.error)],
      ],
      tables: [planTable(plan)],
      notes: [...(unmet === undefined ? [] : [`The budget cannot be met: ${unmet}`]), ...notes],
    };
  },
};

export function planTable({ matrices, sensitivities }: Plan) {
  const names = shortNames(matrices.map(({ name }) => name));
  return {
    headings: ['matrix', 'shape', 'rank', 'kept', sensitivities ? 'error of W X' : 'error'],
    rows: matrices.map(({ name, shape, rank, parametersBefore, parametersAfter, error }, index) => [
      names[index] ?? name,
      shape.join('x'),
      rank === null ? 'dense' : String(rank),
      percent(parametersAfter / parametersBefore),
      rank === null ? '' : percent(error),
    ]),
  };
}
