import { energyPath, levelForEnergy, type Path, pathBoundary, uniformPath } from '../spreads.ts';
import { greedyBeyond, greedyWithin } from './greedy.ts';
import type { Budget, PlanRequest } from './plan.ts';
import {
  type Choice,
  meanLostShare,
  type Options,
  smallestChoice,
  totalCost,
  totalLoss,
  totalParameters,
} from './planOptions.ts';
import { tutorialRank } from './tutorialRatio.ts';
import { tooFar, tooLarge, tooMuch } from './unmet.ts';

export interface Selection {
  readonly choice: Choice;
  readonly unmet?: string;
}

/** Chooses a level for each matrix within the budget. */
export type Select = (all: readonly Options[], request: PlanRequest) => Selection;

/**
 * What the matrices of `all` may cost together, in what the budget counts; undefined for a budget of something else.
 * @param outside what the rest of the model costs in the same, of which a budget for the whole model has to pay.
 */
export function limitOf(all: readonly Options[], { kind, value }: Budget, outside: number): number | undefined {
  if (kind === 'keep') return value * all.reduce((parameters, { dense }) => parameters + dense, 0) * (1 + 1e-12);
  return kind === 'bytes' || kind === 'multiplyAdds' ? value - outside : undefined;
}

/** @param outside as of `limitOf` */
export function selectWith(outside: number): Select {
  return (all, request) => {
    const { budget, spread } = request;
    const limit = limitOf(all, budget, outside);
    if (limit !== undefined) return withinLimit(all, limit, request, outside);
    switch (budget.kind) {
      case 'rank':
        return levels(all, ({ multiple }) => budget.value / multiple);
      case 'compressionRatio':
        return levels(all, ({ input: { shape }, multiple }) => tutorialRank(shape, budget.value) / multiple);
      case 'energy':
        return { choice: Int32Array.from(all, (options) => levelForEnergy(options, budget.value)) };
      default: {
        const allowed = budget.value ** 2 * (1 + 1e-12);
        const exceeds = (choice: Choice) => meanLostShare(all, choice) > allowed;
        const found = paths(all, spread).map((path) => pathBoundary(path, exceeds).beyond);
        if (isGreedy(spread)) found.push(greedyBeyond(all, exceeds));
        const beyond = found.filter((choice) => choice !== null);
        if (beyond.length > 0) return { choice: least(beyond, (choice) => totalParameters(all, choice)) };
        const choice = Int32Array.from(all, (options) => options.levels + 1);
        return { choice, unmet: tooFar(Math.sqrt(meanLostShare(all, choice)), budget.value) };
      }
    }
  };
}

function levels(all: readonly Options[], level: (options: Options) => number): Selection {
  return {
    choice: Int32Array.from(all, (options) =>
      Math.min(options.levels + 1, Math.max(options.least, Math.floor(level(options)))),
    ),
  };
}

function withinLimit(
  all: readonly Options[],
  limit: number,
  { budget, spread }: PlanRequest,
  outside: number,
): Selection {
  const found = paths(all, spread).map(
    (path) => pathBoundary(path, (choice) => totalCost(all, choice) <= limit).within,
  );
  if (isGreedy(spread)) found.push(greedyWithin(all, limit));
  const within = found.filter((choice) => choice !== null);
  if (within.length > 0) return { choice: least(within, (choice) => totalLoss(all, choice)) };
  const choice = smallestChoice(all);
  const smallest = totalCost(all, choice);
  if (budget.kind !== 'keep') return { choice, unmet: tooMuch(budget, smallest + outside, outside, all) };
  const dense = all.reduce((parameters, options) => parameters + options.dense, 0);
  return { choice, unmet: tooLarge(smallest / dense, budget.value, all) };
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
