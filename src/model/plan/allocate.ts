import { type SharedSelection, type SharedSpectra, selectShared } from '../sharing/selectShared.ts';
import { describe, describeGroup, untouched } from './describe.ts';
import { idleIncludes } from './leftOut.ts';
import { lostHalf } from './lostHalf.ts';
import type { Plan, PlanRequest } from './plan.ts';
import { plannedOptions } from './plannedOptions.ts';
import { type PlanInput, smallestChoice, totalParameters } from './planOptions.ts';
import { checkRequest } from './planRequest.ts';
import { idleGlobs } from './rules.ts';
import { selectWith } from './select.ts';
import { outsideOf, type PlannedCheckpoint, totalsOf } from './totals.ts';
import { tutorialNote } from './tutorialRatio.ts';

/**
 * Chooses the ranks of matrices within a budget. A `keep` budget is never exceeded and an `error` or `energy` budget is
 * always met if that is possible; otherwise the result is the nearest plan, and `unmet` says why. `matrices` must
 * contain tied matrices only once.
 * @param families which of them may share a factor, and what they then lose; none if absent.
 * @throws RankscopeError 'wrong-use' for a request out of range.
 */
export function makePlan(
  checkpoint: PlannedCheckpoint,
  matrices: readonly PlanInput[],
  request: PlanRequest,
  families: readonly SharedSpectra[] = [],
): Plan {
  checkRequest(request);
  const { planned, left } = plannedOptions(matrices, request);
  const outside = outsideOf(checkpoint, matrices, planned, request);
  const select = selectWith(outside);

  const { units, members, choice, unmet } =
    families.length > 0
      ? selectShared(planned, families, request, select, outside)
      : { units: planned, members: NO_MEMBERS, ...select(planned, request) };
  const results = new Map(
    units.flatMap((options, k) => {
      const group = members.get(options);
      const level = choice[k]!;
      if (group) return describeGroup(options, group, level, request.factors);
      return [[options.input, describe(options, level, request.factors)] as const];
    }),
  );
  const totals = totalsOf(checkpoint, matrices, units, choice, request.factors);
  const { budget } = request;
  const tutorial =
    budget.kind === 'compressionRatio' ? tutorialNote(planned, budget.value, totals.keptShare) : undefined;
  const half = lostHalf(units, choice, request, totals);
  const notes = [
    ...(half === undefined ? [] : [half]),
    ...(tutorial === undefined ? [] : [tutorial]),
    ...idleGlobs(request.rules?.map(({ match }) => match) ?? [], matrices).map(
      (match) => `The rule for "${match}" has no effect: no matrix has such a name.`,
    ),
    ...idleGlobs(request.exclude, matrices).map(
      (glob) => `Nothing is excluded by "${glob}": no matrix has such a name.`,
    ),
    ...idleIncludes(request.include ?? [], matrices).map(
      (word) =>
        `Nothing is included by "${word}": no matrix that is dense by default is of this kind or has such a name.`,
    ),
    ...matrices.flatMap((input) => (results.get(input)?.rank != null && input.caution ? [input.caution] : [])),
  ];
  return {
    format: 'rankscope.plan/1',
    checkpoint: { path: checkpoint.path, parameters: checkpoint.parameters, bytes: checkpoint.bytes },
    request,
    matrices: matrices.map((input) => results.get(input) ?? untouched(input, left.get(input)!)),
    totals,
    ...(unmet === undefined ? {} : { unmet }),
    ...(notes.length === 0 ? {} : { notes }),
  };
}

/**
 * The least share of the parameters that a plan of such a request can keep of what may be cut, by the floor and the
 * multiple of its ranks: known without spectra. 1 if nothing may be cut.
 */
export function smallestShare(matrices: readonly Omit<PlanInput, 'singularValues'>[], request: PlanRequest): number {
  const { planned } = plannedOptions(
    matrices.map((input) => ({ ...input, singularValues: [] })),
    request,
  );
  const dense = planned.reduce((parameters, options) => parameters + options.dense, 0);
  return dense > 0 ? totalParameters(planned, smallestChoice(planned)) / dense : 1;
}

const NO_MEMBERS: SharedSelection['members'] = new Map();
