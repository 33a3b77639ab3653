import type { InputFactor } from '../../../activations/statistics.ts';
import { concernsOneMatrix } from '../../../base/errors.ts';
import { breakEvenRank } from '../../../base/shape.ts';
import type { Backend, RoutineOptions } from '../../../devices/backend.ts';
import { digestOf } from '../../../files/digest.ts';
import type { PlanRequest } from '../../../model/plan/plan.ts';
import { isShared } from '../../../model/plan/planRequest.ts';
import type { GroupSensitivity, Sensitivities } from '../../../model/plan/sensitivities.ts';
import type { PossibleGroup, SharingFamily } from '../../../model/sharing/possibleGroups.ts';
import type { SharedSpectra } from '../../../model/sharing/selectShared.ts';
import { measures } from '../../../spectrum/measures.ts';
import { sharedGains } from '../../../spectrum/sharedOnSeen.ts';
import { shrinkageOf } from '../../activations/seen.ts';
import { CACHE_VERSION, type Cache } from '../../cache/cache.ts';
import { familiesOf } from '../../sharing/familiesOf.ts';
import { seenSharing } from '../../sharing/seenSharing.ts';
import type { Curve } from './inputBases.ts';
import type { PlacedMatrix } from './placedMatrices.ts';

/** The families in which placed matrices may share, as far as the request lets them. */
export function familiesOnInputs(placed: readonly PlacedMatrix[], request: PlanRequest): SharingFamily[] {
  if (!isShared(request)) return [];
  const open = placed.filter(({ matrix: { name } }) => !Object.hasOwn(request.overrides, name));
  return familiesOf(
    open.map(({ matrix }) => matrix),
    request.share!,
  );
}

/** The same with what was measured of their groups. */
export function measuredFamilies(families: readonly SharingFamily[], { groups = [] }: Sensitivities): SharedSpectra[] {
  const known = new Map(groups.map((group) => [group.name, group]));
  return families.map((family) => ({
    ...family,
    spectra: new Map(
      family.groups.flatMap(({ name, members }) => {
        const found = known.get(name);
        const fits = found?.members.length === members.length && found.members.every((each, k) => each === members[k]);
        return fits ? [[name, found] as const] : [];
      }),
    ),
  }));
}

/** Whether a text showed all matrices of a group, so that it can be measured. */
export function isSeen({ members }: PossibleGroup, curves: ReadonlyMap<string, Curve>): boolean {
  return members.every((name) => {
    const curve = curves.get(name);
    return curve !== undefined && energyOf(curve) > 0;
  });
}

const energyOf = ({ singularValues, rest }: Curve) =>
  singularValues.reduceRight((sum, value) => sum + value * value, rest);

interface Member {
  readonly placed: PlacedMatrix;
  readonly factor: InputFactor;
}

/**
 * Measures the groups of families while their matrices come in the order of the network: each group when its last
 * matrix is there. The statistics of a matrix are forgotten when no group waits for it, so that those of a text are in
 * memory for as many layers as may share.
 */
export class GroupCurves {
  readonly found: GroupSensitivity[] = [];
  private readonly curves = new Map<string, Curve>();
  private readonly members = new Map<string, Member>();
  private readonly waiting: Set<PossibleGroup>;

  constructor(
    private readonly backend: Backend,
    private readonly cache: Cache,
    families: readonly SharingFamily[],
  ) {
    this.waiting = new Set(families.flatMap(({ groups }) => groups));
  }

  /** @throws RankscopeError 'cancelled', 'engine', what the statistics throw */
  async add(placed: PlacedMatrix, factor: InputFactor, curve: Curve, options: RoutineOptions): Promise<void> {
    const { name } = placed.matrix;
    this.curves.set(name, curve);
    this.members.set(name, { placed, factor });
    for (const group of this.waiting) {
      if (!group.members.includes(name) || !group.members.every((each) => this.members.has(each))) continue;
      this.waiting.delete(group);
      if (isSeen(group, this.curves)) this.found.push(await this.measured(group, options));
    }
    const needed = new Set([...this.waiting].flatMap(({ members }) => members));
    for (const each of this.members.keys()) if (!needed.has(each)) this.members.delete(each);
  }

  private async measured({ name, members: names }: PossibleGroup, options: RoutineOptions): Promise<GroupSensitivity> {
    const members = names.map((each) => this.members.get(each)!);
    const [n, height] = [members[0]!.factor.inputs, members.reduce((m, { placed }) => m + placed.matrix.shape[0], 0)];
    const most = breakEvenRank(height, n);
    try {
      const values = most > 0 ? await this.gainsOf(name, members, most, options) : [];
      const kept = values.reduceRight((sum, value) => sum + value * value, 0);
      return { name, members: names, singularValues: values, rest: rounded(Math.max(0, height * n - kept)) };
    } catch (error) {
      if (!concernsOneMatrix(error)) throw error;
      // A group that the device cannot hold keeps nothing at any rank, and is then not chosen.
      return { name, members: names, singularValues: [], rest: height * n };
    }
  }

  private async gainsOf(
    name: string,
    members: readonly Member[],
    most: number,
    options: RoutineOptions,
  ): Promise<number[]> {
    const { backend, cache } = this;
    const matrices = members.map(({ placed }) => placed.matrix);
    const factors = members.map(({ factor }) => factor);
    const identities = factors.map((factor) => [factor.identity(), shrinkageOf(factor)]);
    const own = matrices.map((matrix) => matrix.identity());
    const key = digestOf([CACHE_VERSION, 'shared activations', own, identities, most, backend.info.name]);
    const known = await cache.get(key);
    if (known) return Array.from(known.singularValues, rounded);
    const started = performance.now();
    const norms = matrices.map((each) => Math.sqrt(energyOf(this.curves.get(each.name)!)));
    const found = await sharedGains(backend, seenSharing({ name, matrices }, factors), norms, most, options);
    const singularValues = found.slice(0, most);
    await cache.put(key, {
      measures: measures(
        singularValues.toSorted((a, b) => b - a),
        [most, most],
        0,
      ),
      seconds: (performance.now() - started) / 1000,
      singularValues,
    });
    return Array.from(singularValues, rounded);
  }
}

/** As many digits as a plan file keeps. */
const rounded = (value: number) => Number(value.toPrecision(8));
