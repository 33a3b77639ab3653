import { RankscopeError } from '../../base/errors.ts';
import type { Budget, PlanRequest, PlanRule, Spread } from './plan.ts';
import { settingsText } from './ruleText.ts';

/** The default settings of a plan, in the side bar and on the command line. */
export const PLAN_DEFAULTS: Omit<PlanRequest, 'budget'> = {
  spread: 'optimal',
  multiple: 1,
  exclude: [],
  include: [],
  overrides: {},
  factors: 2,
};

/** What is asked for where nothing is said, in the side bar and on the command line. */
export const FIRST_REQUEST: PlanRequest = { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 0.6 } };

/** Neighbouring layers that may share a factor, where nothing else is said. */
export const SHARED_LAYERS = 2;

/**
 * The floor where the request says nothing. A divergence that is measured at one rank says little of far lower ones
 * (LEMS has the same floor).
 */
export function defaultFloor({ budget, spread }: Pick<PlanRequest, 'budget' | 'spread'>): number {
  return spread === 'loss' && isSpread(budget) ? 0.3 : 0;
}

/** Whether a budget is spread at all: with one rank or one share for every matrix, there is nothing to spread. */
export function isSpread({ kind }: Budget): boolean {
  return isOfSize(kind) || kind === 'error';
}

/** Whether a budget bounds what the result may take. */
function isOfSize(kind: Budget['kind']): boolean {
  return kind === 'keep' || kind === 'bytes' || kind === 'multiplyAdds';
}

/** Whether ranks are spread by what a text does in the network; an equal rank everywhere needs no spread. */
export function isMeasured({ budget, spread }: Pick<PlanRequest, 'budget' | 'spread'>): boolean {
  return (
    budget.kind !== 'rank' && budget.kind !== 'compressionRatio' && (spread === 'activations' || spread === 'loss')
  );
}

/** @throws RankscopeError 'wrong-use', naming the first setting out of range. */
export function checkRequest(request: PlanRequest): void {
  const { budget, multiple, floor = 0, overrides } = request;
  const { kind, value } = budget;
  const range = {
    keep: ['a share in (0, 1]', value > 0 && value <= 1],
    energy: ['a share in (0, 1]', value > 0 && value <= 1],
    error: ['an error in [0, 1)', value >= 0 && value < 1],
    rank: ['a whole number of at least 1', Number.isSafeInteger(value) && value >= 1],
    compressionRatio: ['a share of min(m, n) in (0, 1]', value > 0 && value <= 1],
    bytes: ['a number of bytes of at least 1', value >= 1 && Number.isFinite(value)],
    multiplyAdds: ['a number of at least 1', value >= 1 && Number.isFinite(value)],
  } as const;
  const [expected, good] = range[kind];
  if (!good) throw new RankscopeError('wrong-use', kind, `${value}`, `Give ${expected}`);
  if (!Number.isSafeInteger(multiple) || multiple < 1)
    throw new RankscopeError('wrong-use', 'multiple', `${multiple}`, 'Give a whole number of at least 1');
  if (!(floor >= 0 && floor <= 1))
    throw new RankscopeError('wrong-use', 'floor', `${floor}`, 'Give a share of the break-even rank in [0, 1]');
  for (const [name, rank] of Object.entries(overrides))
    if (rank !== null && (!Number.isSafeInteger(rank) || rank < 1))
      throw new RankscopeError(
        'wrong-use',
        name,
        `rank ${rank}`,
        'Give a whole number of at least 1, or null for dense',
      );
  for (const rule of request.rules ?? []) checkRule(rule);
  checkShare(request);
}

function checkRule(rule: PlanRule): void {
  const { match, rank, keep, energy, floor, multiple } = rule;
  const isShare = (value: number | undefined) => value === undefined || (value > 0 && value <= 1);
  const isCount = (value: number | null | undefined) => value == null || (Number.isSafeInteger(value) && value >= 1);
  const given = [rank, keep, energy, floor, multiple].filter((value) => value !== undefined).length;
  const fixed = [rank, keep, energy].filter((value) => value !== undefined).length;
  const refuse = (found: string, remedy: string) => {
    throw new RankscopeError('wrong-use', `the rule for "${match}"`, found, remedy);
  };
  if (match === '') refuse('no glob', 'Give a glob of names of tensors');
  if (given === 0) refuse('it sets nothing', 'Give a rank, a share to keep, an energy, a floor or a multiple');
  if (fixed > 1) refuse('it sets a rank in several ways', 'Give one of rank, keep and energy');
  if (!isCount(rank) || !isCount(multiple)) refuse(settingsText(rule), 'Give whole numbers of at least 1');
  if (!isShare(keep) || !isShare(energy)) refuse(settingsText(rule), 'Give shares in (0, 1]');
  if (floor !== undefined && !(floor >= 0 && floor <= 1))
    refuse(`floor ${floor}`, 'Give a share of the break-even rank in [0, 1]');
}

/** Whether a request looks for shared factors at all. */
export function isShared({ share }: Pick<PlanRequest, 'share'>): boolean {
  return share !== undefined && (share.inputs || share.layers > 1);
}

/** From the weights alone, and on inputs: both say what the matrices of a group lose together. */
const SHARING_SPREADS: readonly Spread[] = ['optimal', 'activations'];

/** Whether matrices may share under the other settings. */
export function canShare({ budget, spread, factors }: PlanRequest): boolean {
  return factors === 2 && SHARING_SPREADS.includes(spread) && isSpread(budget);
}

/** The request without shared factors where its other settings do not allow them. */
export function withoutIdleShare(request: PlanRequest): PlanRequest {
  if (!request.share || canShare(request)) return request;
  const { share: _none, ...rest } = request;
  return rest;
}

/** A group loses its matrices' errors together, and gets its rank from a budget over all of them. */
function checkShare(request: PlanRequest): void {
  if (!isShared(request)) return;
  const { budget, spread, factors, share } = request;
  const refuse = (found: string, remedy: string) => {
    throw new RankscopeError('wrong-use', 'shared factors', found, remedy);
  };
  if (!Number.isSafeInteger(share?.layers) || share!.layers < 1)
    refuse(`${share?.layers} layers`, 'Give a whole number of at least 1');
  if (factors === 3) refuse('three factors', 'Write two: one of them is shared');
  if (!isSpread(budget)) refuse(`a budget of ${budget.kind}`, 'Give a share to keep, a size, or an error');
  if (!SHARING_SPREADS.includes(spread))
    refuse(`the spread ${spread}`, `Take the spread ${SHARING_SPREADS.join(' or ')}`);
}
