import { RankscopeError } from '../../base/errors.ts';
import type { EvaluateRequest, VariantSize } from '../../model/evaluation.ts';
import { makePlan } from '../../model/plan/allocate.ts';
import type { Plan } from '../../model/plan/plan.ts';
import { PLAN_DEFAULTS } from '../../model/plan/planRequest.ts';
import { ggufForm } from '../../network/ggufForm.ts';
import type { Network } from '../../network/network.ts';
import { chosenMatrices } from '../../write/chosenMatrices.ts';
import { type Opened, viewOf } from '../checkpoints/opened.ts';
import { planCandidates } from '../plan/planCandidates.ts';
import { refuseOther } from '../plan/refuseOther.ts';
import { rewrittenModel } from '../plan/rewrittenModel.ts';
import type { Cut } from './factorStore.ts';

/** A variant of the network in which some matrices are factors. */
export interface CutVariant {
  readonly name: string;
  readonly kind: 'rank' | 'plan';
  readonly rank: number | null;
  readonly size: VariantSize;
  /** By the name of the tensor in transformers; a tied one has its own entry. */
  readonly cuts: ReadonlyMap<string, Cut>;
  /** Parameters of all that might be cut, which weigh the errors of those that are. */
  readonly weight: number;
  /** As the plan says; undefined if the decompositions will tell. */
  readonly predictedError: number | undefined;
}

/**
 * The variants of the ranks and plans of a request, in this order.
 * @throws RankscopeError 'wrong-use' for a plan of another checkpoint
 */
export async function cutVariants(
  opened: Opened,
  network: Network,
  { ranks = [], plans = [] }: Pick<EvaluateRequest, 'ranks' | 'plans'>,
  signal: AbortSignal | undefined,
): Promise<CutVariant[]> {
  if (ranks.length + plans.length === 0) return [];
  const tied = await opened.tiesByContent(signal);
  const planOf = ranks.length > 0 ? await rankPlans(opened, network, signal) : undefined;
  return [
    ...ranks.map((rank) => ({ ...ofPlan(opened, tied, planOf!(rank)), ...named(rank) })),
    ...plans.map(({ name, plan }) => ({ ...ofPlan(opened, tied, plan), name, kind: 'plan' as const })),
  ];
}

const named = (rank: number) => ({ name: `rank ${rank}`, kind: 'rank' as const, rank, predictedError: undefined });

/** Plans with one rank for every matrix of the layers that is cut by default, without spectra. */
async function rankPlans(opened: Opened, network: Network, signal: AbortSignal | undefined) {
  const form = ggufForm(opened.checkpoint);
  const layers = `${network.prefix}${network.modules.layers}.`;
  const inside = (name: string) => (form?.namesOf(name) ?? [name]).some((own) => own.startsWith(layers));
  const inputs = (await planCandidates(opened, signal))
    .filter(({ matrix }) => inside(matrix.tensorName))
    .map(({ input }) => ({ ...input, singularValues: new Float64Array(Math.min(...input.shape)) }));
  return (rank: number): Plan => {
    if (!Number.isSafeInteger(rank) || rank < 1)
      throw new RankscopeError('wrong-use', 'rank', `${rank}`, 'Give a whole number of at least 1');
    return makePlan(viewOf(opened), inputs, { ...PLAN_DEFAULTS, budget: { kind: 'rank', value: rank } });
  };
}

function ofPlan(opened: Opened, tied: readonly (readonly string[])[], original: Plan) {
  refuseOther(original, opened);
  const model = rewrittenModel(opened, original, tied);
  const { plan, ties } = model;
  const chosen = chosenMatrices(model);
  const cuts = new Map<string, Cut>();
  for (const [name, { matrix, rank, group: sharing }] of chosen) {
    const group = ties.find((names) => names.includes(matrix.tensorName)) ?? [];
    // Tied stacks are tied expert by expert.
    const expert = name.slice(matrix.tensorName.length);
    for (const each of new Set([name, ...group.map((tensor) => tensor + expert)])) {
      cuts.set(each, { matrix, rank, factors: plan.request.factors, ...(sharing && { group: sharing }) });
    }
  }
  const { parametersBefore, parametersAfter, keptShare, keptShareOfModel, error } = original.totals;
  const ranks = new Set([...chosen.values()].map(({ rank }) => rank));
  return {
    rank: ranks.size === 1 ? [...ranks][0]! : null,
    size: {
      cut: { parametersBefore, parametersAfter, keptShare },
      parametersOfModel: original.checkpoint.parameters - parametersBefore + parametersAfter,
      keptShareOfModel,
    },
    cuts,
    weight: parametersBefore,
    predictedError: error,
  };
}
