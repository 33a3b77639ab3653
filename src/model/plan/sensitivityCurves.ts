/** Error against size for a whole model, with the place of a plan on it: what more or fewer parameters would change. */
import { uniformPath } from '../spreads.ts';
import { frontier } from './greedy.ts';
import { onInputs } from './onInputs.ts';
import type { Plan, PlanRequest, PlanTotals } from './plan.ts';
import { plannedOptions } from './plannedOptions.ts';
import { type Choice, type Options, type PlanInput, totalLoss } from './planOptions.ts';
import { type PlannedCheckpoint, totalsOf } from './totals.ts';

/**
 * What a size costs: the relative error of the weights, that of W X, or the KL divergence of the predictions in nats,
 * as far as the sum of what one cut of each matrix made tells.
 */
export type CurveMeasure = 'weights' | 'activations' | 'loss';

export interface CurvePoint extends Omit<PlanTotals, 'error'> {
  readonly value: number;
}

export interface SensitivityCurve {
  readonly measure: CurveMeasure;
  /** The least error of each size, by falling sizes. */
  readonly best: readonly CurvePoint[];
  /** That of the same share of the cost for every matrix. */
  readonly uniform: readonly CurvePoint[];
  /** That of the plan. */
  readonly plan: CurvePoint;
}

/** Points of a curve. */
const POINTS = 40;

/**
 * The curves of what is known: of the weights from `inputs`, and of the inputs and the loss from the sensitivities of
 * the plan. All choices keep to its request but for the budget: exclusions, floors, multiples, rules, ranks by hand.
 * Ranks of the plan that share a factor count as they are.
 */
export function sensitivityCurves(
  checkpoint: PlannedCheckpoint,
  inputs: readonly PlanInput[],
  plan: Plan,
): SensitivityCurve[] {
  const { sensitivities, request } = plan;
  const curves = [curveOf('weights', checkpoint, inputs, plan, request)];
  if (!sensitivities) return curves;
  const seen = (spread: 'activations' | 'loss') => {
    const own = { ...request, spread };
    return curveOf(spread, checkpoint, onInputs(inputs, sensitivities, own), plan, own);
  };
  curves.push(seen('activations'));
  if (sensitivities.divergences) curves.push(seen('loss'));
  return curves;
}

function curveOf(
  measure: CurveMeasure,
  checkpoint: PlannedCheckpoint,
  inputs: readonly PlanInput[],
  plan: Plan,
  request: PlanRequest,
): SensitivityCurve {
  const { planned } = plannedOptions(inputs, request);
  const ranks = new Map(plan.matrices.map(({ name, rank }) => [name, rank]));
  const pointOf = (all: readonly Options[], choice: Choice): CurvePoint => {
    const { error, ...totals } = totalsOf(checkpoint, inputs, all, choice, request.factors);
    return { ...totals, value: measure === 'loss' ? totalLoss(all, choice) : error };
  };
  const shares = Array.from({ length: POINTS }, (_, k) => (k + 1) / POINTS);
  const path = uniformPath(planned);
  // The totals of the plan hold what its groups share.
  const own = planned.map(
    (options): Options => ({ ...options, only: { rank: ranks.get(options.input.name) ?? null } }),
  );
  const { value } = pointOf(
    own,
    Int32Array.from(own, () => 1),
  );
  const { error: _, ...totals } = plan.totals;
  return {
    measure,
    best: distinct(frontier(planned, POINTS).map((choice) => pointOf(planned, choice))),
    uniform: distinct(shares.map((share) => pointOf(planned, path(share)))),
    plan: { ...totals, value },
  };
}

/** By falling size, each size once. */
function distinct(points: readonly CurvePoint[]): CurvePoint[] {
  const bySize = new Map(points.map((point) => [point.parametersAfter, point]));
  return [...bySize.values()].sort((a, b) => b.parametersAfter - a.parametersAfter);
}
