import { breakEvenRank } from '../../base/shape.ts';
import { levelForEnergy } from '../spreads.ts';
import { leftOut } from './leftOut.ts';
import type { PlanRequest } from './plan.ts';
import { type Options, optionsOf, type PlanInput } from './planOptions.ts';
import { type RuleSettings, rulesFor } from './rules.ts';

/** Their possible sizes, and why the others are left out of the plan. */
export function plannedOptions(
  matrices: readonly PlanInput[],
  request: PlanRequest,
): { planned: Options[]; left: Map<PlanInput, string> } {
  const reasonOf = leftOut(request);
  const byHand = new Map(Object.entries(request.overrides));
  const ruleFor = rulesFor(request.rules);
  const planned: Options[] = [];
  const left = new Map<PlanInput, string>();
  for (const input of matrices) {
    const reason = reasonOf(input);
    const rank = byHand.get(input.name);
    if (reason !== undefined) left.set(input, reason);
    else if (rank !== undefined) planned.push(withRank(optionsOf(input, request), rank, request, 'by hand'));
    else planned.push(byRule(optionsOf(input, request, ruleFor(input.name)), ruleFor(input.name), request));
  }
  return { planned, left };
}

/** A matrix for which a rule has a say. */
function byRule(options: Options, rule: RuleSettings, request: PlanRequest): Options {
  const { rank, keep, energy } = rule;
  if (Object.keys(rule).length === 0) return options;
  const { levels, step, dense, multiple, least } = options;
  const ruled = { ...options, isRuled: true };
  const atLevel = (level: number, what: string): Options => {
    const own = Math.max(least, level) * multiple;
    if (level <= levels && least <= levels) return { ...ruled, only: { rank: own } };
    return { ...ruled, only: { rank: null, reason: `${what}, by a rule, takes no rank below break-even` } };
  };
  if (rank !== undefined) return withRank(ruled, rank, request, 'by a rule');
  if (keep !== undefined) return atLevel(keep >= 1 ? levels + 1 : Math.floor((keep * dense) / step), `${100 * keep} %`);
  if (energy !== undefined) return atLevel(levelForEnergy(options, energy), `${100 * energy} % of the energy`);
  return ruled;
}

function withRank(options: Options, rank: number | null, { factors }: PlanRequest, by: string): Options {
  if (rank === null) return { ...options, only: { rank, reason: `kept dense ${by}` } };
  const limit = breakEvenRank(...options.input.shape, factors);
  if (rank <= limit) return { ...options, only: { rank } };
  return { ...options, only: { rank: null, reason: `rank ${rank}, set ${by}, is above break-even (${limit})` } };
}
