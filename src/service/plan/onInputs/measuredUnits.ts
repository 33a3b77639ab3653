import { groupBy } from '../../../base/groupBy.ts';
import { filledIn } from '../../../model/plan/fillIn.ts';
import type { Divergence } from '../../../model/plan/sensitivities.ts';
import type { LeftBasis } from './inputBases.ts';
import type { PlacedMatrix } from './placedMatrices.ts';

/** A matrix with the basis to which it is cut for a measurement; undefined where a cut loses nothing. */
export interface MeasuredMatrix extends PlacedMatrix {
  readonly basis: LeftBasis | undefined;
}

/** Matrices that are cut together for one measurement: a single one, or all experts of a layer with the same role. */
export interface MeasuredUnit {
  /** What its role and layer are, for errors. */
  readonly name: string;
  readonly layer: number | null;
  readonly members: readonly MeasuredMatrix[];
}

/** Experts are measured together: there are many, and a text of a thousand tokens reaches few of them. */
export function measuredUnits(matrices: readonly MeasuredMatrix[]): MeasuredUnit[] {
  const units = groupBy(matrices, ({ matrix: { name, layer, role, stack, expert } }) =>
    expert === null ? name : `${role} of the experts in ${stack ?? ''}${layer}`,
  );
  return [...units].map(([name, members]) => ({ name, layer: members[0]!.layer, members }));
}

/**
 * The divergence of each matrix: what its unit has, or where the unit was not measured, what those of its role in other
 * layers suggest. The divergence of a unit is divided by the energies that its members lose.
 */
export function divergencesOf(
  units: readonly MeasuredUnit[],
  measured: ReadonlyMap<MeasuredUnit, number>,
): Map<string, Divergence> {
  const known = groupBy(
    units.filter((unit) => unit.layer !== null && measured.has(unit)),
    roleOf,
  );
  const all = [...measured.values()].filter((value) => value > 0);
  const middle = Math.exp(all.reduce((sum, value) => sum + Math.log(value), 0) / Math.max(1, all.length));
  const divergences = new Map<string, Divergence>();
  for (const unit of units) {
    const { layer, members } = unit;
    const own = measured.get(unit);
    const others = (known.get(roleOf(unit)) ?? []).map((each) => ({ layer: each.layer!, value: measured.get(each)! }));
    const value = own ?? filledIn(others, layer ?? 0) ?? (all.length > 0 ? middle : 0);
    const whole = members.reduce((sum, { basis }) => sum + (basis?.tail ?? 0), 0);
    const from = own === undefined ? 'neighbours' : members.length > 1 ? 'role' : 'matrix';
    for (const { matrix, basis } of members) {
      const { rank, tail } = basis ?? { rank: 1, tail: 0 };
      const share = members.length === 1 ? 1 : whole > 0 ? tail / whole : 0;
      divergences.set(matrix.name, { value: value * share, rank, tail, from });
    }
  }
  return divergences;
}

/** The same in each layer: the module's name without the layer, and the role where experts are together. */
function roleOf({ members: [first] }: MeasuredUnit): string {
  const { role, expert, stack, module } = first!.matrix;
  return `${stack ?? ''} ${role} ${expert === null ? module : 'experts'}`;
}
