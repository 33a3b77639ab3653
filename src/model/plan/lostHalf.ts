import type { Plan, PlanRequest } from './plan.ts';
import { type Choice, lostShareAt, type Options } from './planOptions.ts';
import { selectWith } from './select.ts';

/** The squared relative error from which on half of a norm is lost. */
const HALF = 0.25;
/** Shares of parameters are tried in steps of this. */
const STEP = 0.005;

/**
 * What to call a plan in which every matrix loses at least half of its norm, with the share of parameters from which on
 * none does; undefined for other plans.
 */
export function lostHalf(
  all: readonly Options[],
  choice: Choice,
  request: PlanRequest,
  { keptShare }: Pick<Plan['totals'], 'keptShare'>,
): string | undefined {
  const some = all.filter(({ tail }) => tail[0]! > 0);
  const levels = new Map(all.map((options, k) => [options, choice[k]!]));
  if (some.length === 0 || !some.every((options) => lostShareAt(options, levels.get(options)!) >= HALF))
    return undefined;
  const what =
    request.spread === 'activations' || request.spread === 'loss' ? 'what it makes of its inputs' : 'its norm';
  return `Every matrix of this plan loses half of ${what} or more: the result is another model, not a smaller form of this one. ${remedy(all, request, keptShare)}`;
}

function remedy(all: readonly Options[], request: PlanRequest, keptShare: number): string {
  if (all.some(({ only }) => only)) return 'Raise the ranks that are set by hand or by rules, and keep more.';
  const select = selectWith(0);
  const isSound = (share: number) => {
    const { choice } = select(all, { ...request, budget: { kind: 'keep', value: share } });
    return all.every((options, k) => lostShareAt(options, choice[k]!) < HALF);
  };
  let [low, high] = [Math.floor(keptShare / STEP), Math.round(1 / STEP)];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (isSound(middle * STEP)) high = middle;
    else low = middle;
  }
  return `With ${(100 * high * STEP).toFixed(1).replace(/\.0$/, '')} % of the parameters (--keep ${Number((high * STEP).toFixed(3))}), none does.`;
}
