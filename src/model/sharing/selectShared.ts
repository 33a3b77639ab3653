import type { PlanRequest } from '../plan/plan.ts';
import {
  meanLostShare,
  multiplyAddsOf,
  type Options,
  optionsOf,
  type PlanInput,
  totalCost,
  totalLoss,
  totalParameters,
} from '../plan/planOptions.ts';
import { limitOf, type Select, type Selection } from '../plan/select.ts';
import { bestLevel } from './bestLevel.ts';
import { chooseGroups } from './chooseGroups.ts';
import type { SharingFamily } from './possibleGroups.ts';

/** What the matrices of a family lose where they share: the spectra of its groups, by their names. */
export interface SharedSpectra extends SharingFamily {
  /** None for a group that cannot share after all. */
  readonly spectra: ReadonlyMap<string, SharedCurve>;
}

/** What each rank of a group keeps. */
export interface SharedCurve {
  /**
   * Singular values of the stack of the group's matrices, each scaled to the same mean square entry, of W or of W X;
   * the root of what each further rank keeps where the matrices read different inputs, which need not descend.
   */
  readonly singularValues: ArrayLike<number>;
  /** The sum of the squares of those that are not listed. */
  readonly rest?: number;
}

/** What a plan gives ranks to, matrices and groups, with its choice. */
export interface SharedSelection extends Selection {
  readonly units: readonly Options[];
  /** The matrices of each group. */
  readonly members: ReadonlyMap<Options, readonly Options[]>;
}

/** Halvings of the interval of prices, on a logarithmic scale. */
const HALVINGS = 40;

/**
 * The best of independent factors and of two groupings, those at the prices for a parameter just above and below the
 * one that meets the budget: shared factors are never the worse choice.
 */
export function selectShared(
  planned: readonly Options[],
  families: readonly SharedSpectra[],
  request: PlanRequest,
  select: Select,
  outside: number,
): SharedSelection {
  const single = new Map(
    planned.filter(({ only, isRuled }) => !only && !isRuled).map((options) => [options.input.name, options]),
  );
  const shared = new Map<string, Options>();
  const members = new Map<Options, readonly Options[]>();
  for (const { groups, spectra } of families)
    for (const { name, members: names, from, to } of groups) {
      const own = names.map((each) => single.get(each));
      const curve = spectra.get(name);
      if (!curve || !own.every((each) => each !== undefined)) continue;
      const options = optionsOf(stackOf(name, own, curve, to - from + 1), request);
      shared.set(name, options);
      members.set(options, own);
    }
  const unitsAt = (price: number): Options[] => {
    const groups = families.flatMap((family) => chooseGroups(family, single, shared, price));
    const chosen = groups.map(({ name }) => shared.get(name)!);
    const inGroups = new Set(chosen.flatMap((options) => members.get(options)!));
    return [...planned.filter((options) => !inGroups.has(options)), ...chosen];
  };
  const candidates = [planned, ...unitsNear(planned, unitsAt, request, outside)].map((units) => ({
    units,
    members,
    ...select(units, request),
  }));
  return candidates.reduce((best, each) => (isBetter(each, best, request) ? each : best));
}

/** The units just within and just beyond the budget, where each takes the level that costs least at the price. */
function unitsNear(
  planned: readonly Options[],
  unitsAt: (price: number) => Options[],
  { budget }: PlanRequest,
  outside: number,
): readonly (readonly Options[])[] {
  const limit = limitOf(planned, budget, outside);
  const isSmall = (units: readonly Options[], price: number) => {
    const choice = Int32Array.from(units, (options) => bestLevel(options, price).level);
    return limit === undefined ? meanLostShare(units, choice) > budget.value ** 2 : totalCost(units, choice) <= limit;
  };
  // A level saves at most all energy of its matrix, which is scaled to the number of elements.
  let [low, high] = [1e-9, planned.reduce((most, { tail, cost }) => Math.max(most, tail[0]! / (cost.step || 1)), 1)];
  let [below, above] = [unitsAt(low), unitsAt(high)];
  for (let k = 0; k < HALVINGS; k++) {
    const price = Math.sqrt(low * high);
    const units = unitsAt(price);
    if (isSmall(units, price)) [high, above] = [price, units];
    else [low, below] = [price, units];
  }
  return [below, above];
}

function isBetter(one: Selection & { units: readonly Options[] }, other: typeof one, { budget }: PlanRequest): boolean {
  if ((one.unmet === undefined) !== (other.unmet === undefined)) return one.unmet === undefined;
  const [cost, against] = [one, other].map(({ units, choice }) =>
    budget.kind === 'error' ? totalParameters(units, choice) : totalLoss(units, choice),
  );
  return cost! < against!;
}

/** The matrices of a group, one below the other. Each layer multiplies with the shared factor once. */
function stackOf(name: string, members: readonly Options[], curve: SharedCurve, layers: number): PlanInput {
  const inputs = members.map(({ input }) => input);
  const { bytesPerElement, factorBytesPerElement, writtenBytesPerElement, shape } = inputs[0]!;
  const own = inputs.map((input) => multiplyAddsOf(input, 2));
  const rows = inputs.reduce((sum, { shape: [m] }) => sum + m, 0);
  return {
    name,
    shape: [rows, shape[1]],
    bytesPerElement,
    ...(factorBytesPerElement === undefined ? {} : { factorBytesPerElement }),
    ...(writtenBytesPerElement === undefined ? {} : { writtenBytesPerElement }),
    multiplyAdds: { dense: own.reduce((sum, { dense }) => sum + dense, 0), perRank: rows + layers * shape[1] },
    ...curve,
  };
}
