import { expertPattern, groupKey, sharedModule } from '../../src/model/experts.ts';
import { compareStacks } from '../../src/model/names/stackLabels.ts';
import type { MatrixView } from '../../src/protocol/service.ts';
import type { Grid } from './grid.ts';
import { orderModules } from './moduleOrder.ts';

/** How the matrices of a checkpoint are arranged. */
export interface Layout {
  /** All matrices in reading order: the layer grid row by row, then the others. */
  readonly matrices: readonly MatrixView[];
  /** The experts of each module and layer. A cell is the index of a matrix, or `matrices.length` + that of a group. */
  readonly groups: readonly ExpertGroup[];
  /** The cell of each name of a matrix or a group. */
  readonly indexOf: ReadonlyMap<string, number>;
  /** The cell of the group that a matrix belongs to; -1 for none. */
  readonly groupOf: Int32Array;
  /** All cells in reading order, experts as groups. */
  readonly cells: readonly number[];
  readonly main: Grid | null;
  /** Modules with experts, and their grids of layers by experts. */
  readonly expertGrids: ReadonlyMap<string, Grid>;
  /** Cells outside the layers, if they are few enough to be listed by name. */
  readonly listed: readonly number[];
  /** A grid of them otherwise. */
  readonly loose: Grid | null;
}

/** The experts of one module in one layer, which share a cell. */
export interface ExpertGroup extends Pick<MatrixView, 'stack' | 'layer' | 'module'> {
  /** A pattern, such as `model.layers.3.mlp.experts.*.up_proj.weight`. */
  readonly name: string;
  /** Indices of its matrices, by expert. */
  readonly members: readonly number[];
}

/** The group of a cell; undefined for a matrix. */
export function groupAt({ matrices, groups }: Layout, index: number): ExpertGroup | undefined {
  return groups[index - matrices.length];
}

/** The name `by` cells after `name` in reading order, or among the experts of its group; undefined at the end. */
export function neighbour(layout: Layout, name: string | null, by: number): string | undefined {
  const index = layout.indexOf.get(name ?? '') ?? -1;
  if (index < 0) return undefined;
  const siblings = groupAt(layout, layout.groupOf[index] ?? -1)?.members ?? layout.cells;
  const next = siblings[siblings.indexOf(index) + by];
  return next === undefined ? undefined : nameAt(layout, next);
}

/** The name of a cell: that of its matrix, or the pattern of its experts. */
export function nameAt(layout: Layout, index: number): string {
  return layout.matrices[index]?.name ?? groupAt(layout, index)?.name ?? '';
}

/**
 * Matrices outside the layers that are listed at most: a longer list would fill the page, so more are drawn as a grid.
 */
const LISTED_LIMIT = 24;

export function buildLayout(matrices: readonly MatrixView[]): Layout {
  const inLayers = gathered(matrices.filter((matrix) => matrix.layer !== null));
  const apart = gathered(matrices.filter((matrix) => matrix.layer === null));
  const table = layerTable(inLayers);
  const ordered = [...table.parts, ...apart];
  const all: MatrixView[] = [];
  const groups: ExpertGroup[] = [];
  const groupOf: number[] = [];
  const first = ordered.reduce((count, { experts }) => count + experts.length, 0);
  const cells = ordered.map(({ place, experts }) => {
    const members = experts.map((matrix) => all.push(matrix) - 1);
    const cell = experts.length > 1 ? first + groups.length : members[0]!;
    for (const member of members) groupOf[member] = experts.length > 1 ? cell : -1;
    const name = expertPattern(experts[0]!.name, experts[0]!.expert ?? 0);
    if (experts.length > 1) groups.push({ ...place, name, members });
    return cell;
  });
  const outside = cells.slice(table.parts.length);
  const asGrid = outside.length > LISTED_LIMIT;
  const placed = { matrices: all, groups, groupOf: Int32Array.from(groupOf), cells };
  return {
    ...placed,
    indexOf: new Map([
      ...groups.map(({ name }, index) => [name, first + index] as const),
      ...all.map((matrix, index) => [matrix.name, index] as const),
    ]),
    main: table.grid && { ...table.grid, cells: table.grid.cells.map((part) => (part < 0 ? -1 : cells[part]!)) },
    expertGrids: expertGrids(placed),
    listed: asGrid ? [] : outside,
    loose: asGrid ? wrappedGrid(outside) : null,
  };
}

/** What shares a cell: the experts of a module in one layer, or a matrix by itself. */
interface Part {
  readonly place: Pick<MatrixView, 'stack' | 'layer' | 'module'>;
  readonly experts: MatrixView[];
}

function gathered(matrices: readonly MatrixView[]): Part[] {
  const parts: Part[] = [];
  const byKey = new Map<string, Part>();
  for (const matrix of matrices) {
    const { stack, layer, expert } = matrix;
    const known = expert === undefined ? undefined : byKey.get(groupKey(matrix));
    // Two matrices with one number are not two experts, whatever their names mean.
    if (known && !known.experts.some((other) => other.expert === expert)) {
      known.experts.push(matrix);
      continue;
    }
    const place = { layer, module: sharedModule(matrix), ...(stack === undefined ? {} : { stack }) };
    const part = { place, experts: [matrix] };
    if (expert !== undefined && !known) byKey.set(groupKey(matrix), part);
    parts.push(part);
  }
  for (const { experts } of parts) experts.sort((a, b) => (a.expert ?? 0) - (b.expert ?? 0));
  return parts;
}

function layerTable(parts: readonly Part[]): { grid: Grid | null; parts: readonly Part[] } {
  if (parts.length === 0) return { grid: null, parts: [] };
  const columnNames = distinctColumns(parts);
  const layers = layersOf(parts.map(({ place }) => place));
  const columns = orderModules([...new Set(columnNames)]);
  const columnOf = new Map(columns.map((column, index) => [column, index]));
  const rowOf = new Map(layers.map((layer, index) => [keyOf(layer), index]));
  const placed = new Int32Array(layers.length * columns.length).fill(-1);
  parts.forEach(({ place }, index) => {
    placed[rowOf.get(keyOf(place))! * columns.length + columnOf.get(columnNames[index]!)!] = index;
  });
  const ordered: Part[] = [];
  const cells = placed.map((index) => (index < 0 ? -1 : ordered.push(parts[index]!) - 1));
  return { grid: { kind: 'layers', ...rowsOf(layers), columns, width: columns.length, cells }, parts: ordered };
}

type Layer = Pick<MatrixView, 'stack' | 'layer'>;

function rowsOf(layers: readonly Layer[]): Pick<Grid, 'rows' | 'breaks'> {
  const rows = layers.map(({ stack, layer }) => (stack === undefined ? `${layer}` : `${stack} ${layer}`));
  const breaks = layers.flatMap(({ stack }, row) => (row > 0 && layers[row - 1]!.stack !== stack ? [row] : []));
  return { rows, breaks };
}

/** The layers of all stacks: stack by stack along the flow of data, each by number. */
function layersOf(places: readonly Layer[]): Layer[] {
  const layers = new Map(places.map((place) => [keyOf(place), place]));
  return [...layers.values()].sort((a, b) => compareStacks(a.stack ?? '', b.stack ?? '') || a.layer! - b.layer!);
}

const keyOf = ({ stack, layer }: Layer): string => `${layer} ${stack ?? ''}`;

/**
 * The column of each part. Two matrices of a layer with the same module, as in unknown naming schemes, get separate
 * columns.
 */
function distinctColumns(parts: readonly Part[]): string[] {
  const seen = new Map<string, number>();
  return parts.map(({ place }) => {
    const key = `${keyOf(place)}\n${place.module}`;
    const count = (seen.get(key) ?? 0) + 1;
    seen.set(key, count);
    return count === 1 ? place.module : `${place.module} (${count})`;
  });
}

/** A grid of layers by experts for each module. */
function expertGrids({ matrices, groups }: Pick<Layout, 'matrices' | 'groups'>): ReadonlyMap<string, Grid> {
  const byModule = new Map<string, ExpertGroup[]>();
  for (const group of groups) {
    if (group.layer === null) continue;
    const known = byModule.get(group.module);
    if (known) known.push(group);
    else byModule.set(group.module, [group]);
  }
  const modules = orderModules([...byModule.keys()]);
  return new Map(modules.map((module) => [module, expertGrid(module, byModule.get(module)!, matrices)]));
}

function expertGrid(module: string, groups: readonly ExpertGroup[], matrices: readonly MatrixView[]): Grid {
  const layers = layersOf(groups);
  const rowOf = new Map(layers.map((layer, index) => [keyOf(layer), index]));
  const numbers = groups.flatMap(({ members }) => members.map((member) => matrices[member]!.expert ?? 0));
  const experts = [...new Set(numbers)].sort((a, b) => a - b);
  const columnOf = new Map(experts.map((expert, index) => [expert, index]));
  const cells = new Int32Array(layers.length * experts.length).fill(-1);
  for (const group of groups)
    for (const member of group.members)
      cells[rowOf.get(keyOf(group))! * experts.length + columnOf.get(matrices[member]!.expert ?? 0)!] = member;
  const columns = experts.map((expert) => `${module}.${expert}`);
  return { kind: 'layers', ...rowsOf(layers), columns, numbered: true, width: experts.length, cells };
}

function wrappedGrid(indices: readonly number[]): Grid {
  return stripOf(indices, Math.ceil(Math.sqrt(indices.length * 2)), 1);
}

/** Cells in lines of `width`, which are labelled by the number of their first one. */
export function stripOf(indices: readonly number[], width: number, from: number): Grid {
  const rows = Math.ceil(indices.length / width);
  const cells = new Int32Array(rows * width).fill(-1);
  cells.set(indices);
  return {
    kind: 'wrapped',
    rows: Array.from({ length: rows }, (_, row) => String(row * width + from)),
    breaks: [],
    columns: [],
    width,
    cells,
  };
}
