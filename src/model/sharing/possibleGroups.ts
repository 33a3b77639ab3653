import { groupBy } from '../../base/groupBy.ts';
import type { NetworkPlace } from '../matrixBase.ts';
import type { Role } from '../names/roles.ts';
import type { Share } from '../plan/plan.ts';

/** A matrix that may share its factor A. */
export interface Sharer extends Pick<NetworkPlace, 'stack' | 'layer' | 'module' | 'role' | 'expert'> {
  readonly name: string;
  readonly shape: readonly [number, number];
  readonly dtype: string;
  /** Whether its transpose is stored. */
  readonly transposed: boolean;
}

/** Matrices of one or several neighbouring layers that may share. */
export interface PossibleGroup {
  /** For people: `Layers 3-4, self_attn.q_proj`. */
  readonly name: string;
  readonly members: readonly string[];
  readonly layers: readonly number[];
  readonly modules: readonly string[];
  /** Positions in the family, both included. */
  readonly from: number;
  readonly to: number;
  /** The module of the family, or null for all of them. */
  readonly part: number | null;
}

/** The modules that read the same inputs, layer by layer; often one. */
export interface SharingFamily {
  /** cells[position][part]: the name of a matrix, undefined where the layer has none that may share. */
  readonly cells: readonly (readonly (string | undefined)[])[];
  readonly groups: readonly PossibleGroup[];
}

/** Roles of matrices that read the same inputs where they stand in one module. */
const READS: Readonly<Partial<Record<Role, 'attention' | 'feedForward'>>> = {
  query: 'attention',
  key: 'attention',
  value: 'attention',
  gate: 'feedForward',
  up: 'feedForward',
};

/**
 * All groups that may share a factor A: the same module in neighbouring layers, and modules of a layer that read the
 * same inputs, in one layer or in neighbouring ones. Experts have no fixed order from layer to layer and stay apart.
 */
export function possibleGroups(matrices: readonly Sharer[], share: Share): SharingFamily[] {
  const placed = matrices.filter(({ layer, expert }) => layer !== null && expert === null);
  return [...groupBy(placed, (matrix) => familyOf(matrix, share)).values()]
    .map((members) => familyFrom(members, share))
    .filter(({ groups }) => groups.length > 0);
}

function familyOf({ stack, module, role, shape: [, n], dtype, transposed }: Sharer, { inputs }: Share): string {
  const reads = inputs ? READS[role] : undefined;
  const parent = module.slice(0, module.lastIndexOf('.') + 1);
  return JSON.stringify([stack, reads ? [parent, reads] : module, n, dtype, transposed]);
}

function familyFrom(matrices: readonly Sharer[], { layers: most }: Share): SharingFamily {
  const layers = [...new Set(matrices.map(({ layer }) => layer!))].sort((a, b) => a - b);
  const modules = [...new Set(matrices.map(({ module }) => module))];
  const table = layers.map(() => modules.map((): Sharer | undefined => undefined));
  for (const matrix of matrices) table[layers.indexOf(matrix.layer!)]![modules.indexOf(matrix.module)] ??= matrix;
  const groups: PossibleGroup[] = [];
  const add = (part: number | null, from: number, to: number) => {
    const rows = table.slice(from, to + 1).map((row) => (part === null ? row : [row[part]]));
    const members = rows.flat().filter((each) => each !== undefined);
    const whole = members.length === rows.length * rows[0]!.length;
    // Of one module, all layers have the same shape: a group of others would be no neighbourhood.
    if (!whole || members.length < 2) return;
    const names = part === null ? shortModules(modules) : modules[part]!;
    const { stack } = members[0]!;
    groups.push({
      name: `${layersText(layers[from]!, layers[to]!)}${stack === undefined ? '' : ` of ${stack}`}, ${names}`,
      members: members.map(({ name }) => name),
      layers: layers.slice(from, to + 1),
      modules: part === null ? modules : [modules[part]!],
      from,
      to,
      part,
    });
  };
  for (const from of layers.keys())
    for (let to = from; to < Math.min(layers.length, from + most); to++) {
      if (modules.length > 1) add(null, from, to);
      if (to > from) for (const part of modules.keys()) add(part, from, to);
    }
  return { cells: table.map((row) => row.map((each) => each?.name)), groups };
}

/** `self_attn.{q_proj, k_proj, v_proj}`. */
function shortModules(modules: readonly string[]): string {
  const parent = modules[0]!.slice(0, modules[0]!.lastIndexOf('.') + 1);
  return `${parent}{${modules.map((module) => module.slice(parent.length)).join(', ')}}`;
}

const layersText = (from: number, to: number) => (from === to ? `Layer ${from}` : `Layers ${from}-${to}`);
