import { RankscopeError } from '../../base/errors.ts';
import type { PlanRequest } from './plan.ts';

/** The default settings of a plan, in the side bar and on the command line. */
export const PLAN_DEFAULTS: Omit<PlanRequest, 'budget'> = {
  spread: 'optimal',
  multiple: 1,
  exclude: [],
  include: [],
  overrides: {},
  factors: 2,
};

/** Neighbouring layers that may share a factor, where nothing else is said. */
export const SHARED_LAYERS = 2;

/**
 * The floor where the request says nothing. A divergence that is measured at one rank says little of far lower ones
 * (LEMS has the same floor).
 */
export function defaultFloor({ budget, spread }: Pick<PlanRequest, 'budget' | 'spread'>): number {
  return spread === 'loss' && (budget.kind === 'keep' || budget.kind === 'error') ? 0.3 : 0;
}

/** Whether ranks are spread by what a text does in the network; an equal rank everywhere needs no spread. */
export function isMeasured({ budget, spread }: Pick<PlanRequest, 'budget' | 'spread'>): boolean {
  return budget.kind !== 'rank' && (spread === 'activations' || spread === 'loss');
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
  checkShare(request);
}

/** Whether a request looks for shared factors at all. */
export function isShared({ share }: Pick<PlanRequest, 'share'>): boolean {
  return share !== undefined && (share.inputs || share.layers > 1);
}

/** Whether matrices may share under the other settings. */
export function canShare({ budget, spread, factors }: PlanRequest): boolean {
  return factors === 2 && spread === 'optimal' && (budget.kind === 'keep' || budget.kind === 'error');
}

/** The request without shared factors where its other settings do not allow them. */
export function withoutIdleShare(request: PlanRequest): PlanRequest {
  if (!request.share || canShare(request)) return request;
  const { share: _none, ...rest } = request;
  return rest;
}

/** Shared factors come from the weights alone, and a rank for each of many groups from a budget over all of them. */
function checkShare(request: PlanRequest): void {
  if (!isShared(request)) return;
  const { budget, spread, factors, share } = request;
  const refuse = (found: string, remedy: string) => {
    throw new RankscopeError('wrong-use', 'shared factors', found, remedy);
  };
  if (!Number.isSafeInteger(share?.layers) || share!.layers < 1)
    refuse(`${share?.layers} layers`, 'Give a whole number of at least 1');
  if (factors === 3) refuse('three factors', 'Write two: one of them is shared');
  if (budget.kind !== 'keep' && budget.kind !== 'error')
    refuse(`a budget of ${budget.kind}`, 'Give a share to keep, or an error');
  if (spread !== 'optimal') refuse(`the spread ${spread}`, 'Take the spread optimal');
}
