import { breakEvenRank } from '../../base/shape.ts';
import type { PlannedMatrix } from './plan.ts';
import { lostShareAt, type Options, type PlanInput, parametersAt, rankAt } from './planOptions.ts';

export function describe(options: Options, level: number, factors: 2 | 3): PlannedMatrix {
  const { input, dense, levels, multiple, only } = options;
  const rank = rankAt(options, level);
  const reason =
    rank === null
      ? (only?.reason ??
        (levels === 0
          ? `no saving at any multiple of ${multiple}`
          : `a rank that meets the budget is not below break-even (${breakEvenRank(...input.shape, factors)})`))
      : undefined;
  return {
    name: input.name,
    shape: input.shape,
    rank,
    ...(reason === undefined ? {} : { reason }),
    ...kindsOf(input),
    parametersBefore: dense,
    parametersAfter: parametersAt(options, level),
    error: Math.sqrt(lostShareAt(options, level)),
  };
}

/** The matrices of a group: with one factor A, which the first of them counts, or each dense. */
export function describeGroup(
  options: Options,
  group: readonly Options[],
  level: number,
  factors: 2 | 3,
): (readonly [PlanInput, PlannedMatrix])[] {
  const { name, rank, error } = describe(options, level, factors);
  return group.map((own, k) => {
    const dense = describe(own, own.levels + 1, factors);
    if (rank === null) return [own.input, dense];
    const [m, n] = own.input.shape;
    const { reason: _none, ...matrix } = dense;
    return [own.input, { ...matrix, rank, shared: name, parametersAfter: rank * (k === 0 ? m + n : m), error }];
  });
}

export function untouched(input: PlanInput, reason: string): PlannedMatrix {
  const { name, shape } = input;
  const parameters = shape[0] * shape[1];
  return {
    name,
    shape,
    rank: null,
    reason,
    ...kindsOf(input),
    parametersBefore: parameters,
    parametersAfter: parameters,
    error: 0,
  };
}

/** The kinds that a request could include; none if no layer could hold the factors. */
function kindsOf({ kinds = [], fixed }: PlanInput): Pick<PlannedMatrix, 'kinds'> {
  return kinds.length === 0 || fixed ? {} : { kinds };
}
