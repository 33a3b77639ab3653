import { breakEvenRank } from '../../base/shape.ts';
import type { CheckpointSummary } from '../findings.ts';
import { type Selection, type SharedSelection, type SharedSpectra, selectShared } from '../sharing/selectShared.ts';
import { energyPath, levelForEnergy, type Path, pathBoundary, uniformPath } from '../spreads.ts';
import { greedyBeyond, greedyWithin } from './greedy.ts';
import { keptShares } from './keptShares.ts';
import { idleIncludes, leftOut } from './leftOut.ts';
import type { Plan, PlannedMatrix, PlanRequest } from './plan.ts';
import {
  type Choice,
  lostShareAt,
  meanLostShare,
  type Options,
  optionsOf,
  type PlanInput,
  parametersAt,
  rankAt,
  smallestChoice,
  totalLoss,
  totalParameters,
} from './planOptions.ts';
import { checkRequest } from './planRequest.ts';

/**
 * Chooses the ranks of matrices within a budget. A `keep` budget is never exceeded and an `error` or `energy` budget is
 * always met if that is possible; otherwise the result is the nearest plan, and `unmet` says why. `matrices` must
 * contain tied matrices only once.
 * @param families which of them may share a factor, and what they then lose; none if absent.
 * @throws RankscopeError 'wrong-use' for a request out of range.
 */
export function makePlan(
  checkpoint: CheckpointSummary,
  matrices: readonly PlanInput[],
  request: PlanRequest,
  families: readonly SharedSpectra[] = [],
): Plan {
  checkRequest(request);
  const { planned, left } = taken(matrices, request);
  const { units, members, choice, unmet } =
    families.length > 0
      ? selectShared(planned, families, request, select)
      : { units: planned, members: NO_MEMBERS, ...select(planned, request) };
  const results = new Map(
    units.flatMap((options, k) => {
      const group = members.get(options);
      const level = choice[k]!;
      if (group) return describeGroup(options, group, level, request.factors);
      return [[options.input, describe(options, level, request.factors)] as const];
    }),
  );
  const notes = [
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
    totals: sum(units, choice, checkpoint.parameters),
    ...(unmet === undefined ? {} : { unmet }),
    ...(notes.length === 0 ? {} : { notes }),
  };
}

/**
 * The least share of the parameters that a plan of such a request can keep of what may be cut, by the floor and the
 * multiple of its ranks: known without spectra. 1 if nothing may be cut.
 */
export function smallestShare(matrices: readonly Omit<PlanInput, 'singularValues'>[], request: PlanRequest): number {
  const { planned } = taken(
    matrices.map((input) => ({ ...input, singularValues: [] })),
    request,
  );
  const dense = planned.reduce((parameters, options) => parameters + options.dense, 0);
  return dense > 0 ? totalParameters(planned, smallestChoice(planned)) / dense : 1;
}

/** The matrices that take part in a plan, and why the others do not. */
function taken(matrices: readonly PlanInput[], request: PlanRequest) {
  const reasonOf = leftOut(request);
  const byHand = new Map(Object.entries(request.overrides));
  const planned: Options[] = [];
  const left = new Map<PlanInput, string>();
  for (const input of matrices) {
    const reason = reasonOf(input);
    if (reason !== undefined) left.set(input, reason);
    else if (byHand.has(input.name)) planned.push(setByHand(input, byHand.get(input.name) ?? null, request));
    else planned.push(optionsOf(input, request));
  }
  return { planned, left };
}

const NO_MEMBERS: SharedSelection['members'] = new Map();

function select(all: readonly Options[], { budget, spread, multiple }: PlanRequest): Selection {
  const dense = all.reduce((parameters, options) => parameters + options.dense, 0);
  switch (budget.kind) {
    case 'rank':
      return {
        choice: Int32Array.from(all, ({ levels, least }) =>
          Math.min(levels + 1, Math.max(least, rankLevel(budget.value, multiple))),
        ),
      };
    case 'energy':
      return { choice: Int32Array.from(all, (options) => levelForEnergy(options, budget.value)) };
    case 'keep': {
      const limit = budget.value * dense * (1 + 1e-12);
      const found = paths(all, spread).map(
        (path) => pathBoundary(path, (choice) => totalParameters(all, choice) <= limit).within,
      );
      if (isGreedy(spread)) found.push(greedyWithin(all, limit));
      const within = found.filter((choice) => choice !== null);
      if (within.length > 0) return { choice: least(within, (choice) => totalLoss(all, choice)) };
      const choice = smallestChoice(all);
      return { choice, unmet: tooLarge(totalParameters(all, choice) / dense, budget.value, hasFloor(all)) };
    }
    case 'error': {
      const limit = budget.value ** 2 * (1 + 1e-12);
      const exceeds = (choice: Choice) => meanLostShare(all, choice) > limit;
      const found = paths(all, spread).map((path) => pathBoundary(path, exceeds).beyond);
      if (isGreedy(spread)) found.push(greedyBeyond(all, exceeds));
      const beyond = found.filter((choice) => choice !== null);
      if (beyond.length > 0) return { choice: least(beyond, (choice) => totalParameters(all, choice)) };
      const choice = Int32Array.from(all, ({ levels }) => levels + 1);
      return { choice, unmet: tooFar(Math.sqrt(meanLostShare(all, choice)), budget.value) };
    }
  }
}

/**
 * Choices that grow along a spread. The optimal spread stops between two of its steps, where another spread may use the
 * last few parameters better: it therefore considers these as well and is never the worse choice.
 */
function paths(all: readonly Options[], spread: PlanRequest['spread']): Path[] {
  const found: Path[] = [];
  if (spread === 'uniform' || spread === 'optimal') found.push(uniformPath(all));
  if (spread === 'energy' || spread === 'optimal') found.push(energyPath(all));
  return found;
}

const isGreedy = (spread: PlanRequest['spread']) => spread !== 'uniform' && spread !== 'energy';

function least(choices: readonly Choice[], cost: (choice: Choice) => number): Choice {
  return choices.reduce((best, choice) => (cost(choice) < cost(best) ? choice : best));
}

function rankLevel(rank: number, multiple: number): number {
  return Math.max(1, Math.floor(rank / multiple));
}

function setByHand(input: PlanInput, rank: number | null, request: PlanRequest): Options {
  const options = optionsOf(input, request);
  if (rank === null) return { ...options, only: { rank, reason: 'kept dense by hand' } };
  const limit = breakEvenRank(...input.shape, request.factors);
  if (rank <= limit) return { ...options, only: { rank } };
  return { ...options, only: { rank: null, reason: `rank ${rank}, set by hand, is above break-even (${limit})` } };
}

function describe(options: Options, level: number, factors: 2 | 3): PlannedMatrix {
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
function describeGroup(
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

function untouched(input: PlanInput, reason: string): PlannedMatrix {
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

function sum(all: readonly Options[], choice: Choice, parametersOfModel: number): Plan['totals'] {
  let bytesBefore = 0;
  let bytesAfter = 0;
  for (const [k, options] of all.entries()) {
    const { bytesPerElement, factorBytesPerElement = bytesPerElement } = options.input;
    bytesBefore += options.dense * bytesPerElement;
    const dense = rankAt(options, choice[k]!) === null;
    bytesAfter += parametersAt(options, choice[k]!) * (dense ? bytesPerElement : factorBytesPerElement);
  }
  const parametersBefore = all.reduce((parameters, options) => parameters + options.dense, 0);
  const parametersAfter = totalParameters(all, choice);
  return {
    parametersBefore,
    parametersAfter,
    bytesBefore,
    bytesAfter,
    error: Math.sqrt(meanLostShare(all, choice)),
    ...keptShares({ parametersBefore, parametersAfter }, parametersOfModel),
  };
}

const percent = (share: number) => `${(100 * share).toPrecision(3)} %`;

function tooLarge(smallest: number, wanted: number, hasFloor: boolean): string {
  const remedy = hasFloor ? 'a lower floor or a smaller multiple' : 'a smaller multiple';
  return `the smallest plan keeps ${percent(smallest)} of what may be cut, ${percent(wanted)} were asked for: choose ${remedy}, or set or exclude fewer matrices`;
}

const hasFloor = (all: readonly Options[]) => all.some(({ least }) => least > 1);

function tooFar(error: number, wanted: number): string {
  return `the ranks set by hand alone give an error of ${percent(error)}, ${percent(wanted)} was asked for: raise them`;
}
