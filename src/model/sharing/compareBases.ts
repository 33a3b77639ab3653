import { groupBy } from '../../base/groupBy.ts';
import type { CheckpointSummary } from '../findings.ts';
import { makePlan } from '../plan/allocate.ts';
import type { Plan, PlannedMatrix, PlanRequest } from '../plan/plan.ts';
import type { PlanInput } from '../plan/planOptions.ts';
import { PLAN_DEFAULTS } from '../plan/planRequest.ts';
import type { SharedSpectra } from './selectShared.ts';
import type { FactorTotals, SharedBases, SharedGroup, SharingRequest, SizeComparison } from './sharing.ts';

/** What plans are made of. */
interface Spectra {
  readonly checkpoint: CheckpointSummary;
  readonly inputs: readonly PlanInput[];
  readonly families: readonly SharedSpectra[];
}

/** Both plans at the size of the request. */
export interface ComparedPlans {
  readonly independent: Plan;
  readonly shared: Plan;
}

/** Sizes that are always compared. */
const SIZES = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/** The request of a plan in which matrices may share, at the size of the comparison. */
export function sharedRequest({
  keep,
  layers,
  activations,
}: Pick<SharingRequest, 'keep' | 'layers' | 'activations'>): PlanRequest {
  return {
    ...PLAN_DEFAULTS,
    budget: { kind: 'keep', value: keep },
    spread: activations === undefined ? 'optimal' : 'activations',
    share: { inputs: true, layers },
  };
}

/** The plans at the size of the request, without and with shared factors. */
export function comparedPlans({ checkpoint, inputs, families }: Spectra, request: PlanRequest): ComparedPlans {
  const { share: _none, ...apart } = request;
  return {
    independent: makePlan(checkpoint, inputs, apart),
    shared: makePlan(checkpoint, inputs, request, families),
  };
}

/** Shared beside independent factors: at the size of the request, at the same error, and at other sizes. */
export function compareBases(
  spectra: Spectra,
  { keep, layers }: Pick<SharingRequest, 'keep' | 'layers'>,
  { independent, shared }: ComparedPlans,
): Omit<SharedBases, 'evaluation' | 'inputs'> {
  const request = shared.request;
  const groups = groupsOf(spectra, shared);
  return {
    keep,
    layers,
    independent: totalsOf(independent),
    shared: totalsOf(shared),
    parametersAtEqualError: groups.length === 0 ? null : atError(spectra, request, independent.totals.error),
    groups,
    sizes: [...new Set([...SIZES, keep])]
      .sort((a, b) => a - b)
      .map((size): SizeComparison => {
        const plans =
          size === keep
            ? { independent, shared }
            : comparedPlans(spectra, { ...request, budget: { kind: 'keep', value: size } });
        const members = plans.shared.matrices.filter((matrix) => matrix.shared !== undefined);
        return {
          keep: size,
          independentError: plans.independent.totals.error,
          sharedError: plans.shared.totals.error,
          groups: new Set(members.map((matrix) => matrix.shared)).size,
          members: members.length,
        };
      }),
  };
}

const totalsOf = ({ totals: { parametersAfter: parameters, keptShare, error } }: Plan): FactorTotals => ({
  parameters,
  keptShare,
  error,
});

/** The parameters of the smallest plan with shared factors that has no larger error. */
function atError({ checkpoint, inputs, families }: Spectra, request: PlanRequest, error: number): number {
  const plan = makePlan(checkpoint, inputs, { ...request, budget: { kind: 'error', value: error } }, families);
  return plan.totals.parametersAfter;
}

function groupsOf({ checkpoint, inputs, families }: Spectra, { matrices, request }: Plan): SharedGroup[] {
  const sharing = matrices.filter(({ shared }) => shared !== undefined);
  const placed = new Map(families.flatMap(({ groups }) => groups.map((group) => [group.name, group] as const)));
  const byName = new Map(inputs.map((input) => [input.name, input]));
  return [...groupBy(sharing, ({ shared }) => shared!)].map(([name, members]): SharedGroup => {
    const parameters = sum(members, ({ parametersAfter }) => parametersAfter);
    const value = parameters / sum(members, ({ parametersBefore }) => parametersBefore);
    const { share: _none, ...apart } = request;
    const own = members.map((each) => byName.get(each.name)!);
    const independent = makePlan(checkpoint, own, { ...apart, budget: { kind: 'keep', value } });
    const { layers, modules } = placed.get(name)!;
    return {
      name,
      members: members.map((each) => each.name),
      layers,
      modules,
      rank: members[0]!.rank!,
      parameters,
      error: members[0]!.error,
      independentError: independent.unmet === undefined ? independent.totals.error : 1,
    };
  });
}

const sum = (matrices: readonly PlannedMatrix[], of: (matrix: PlannedMatrix) => number) =>
  matrices.reduce((total, matrix) => total + of(matrix), 0);
