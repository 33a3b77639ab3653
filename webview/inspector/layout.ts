import { compareStacks } from '../../src/model/names/stackLabels.ts';
import type { MatrixView } from '../../src/protocol/service.ts';
import type { Grid } from '../charts/grid.ts';
import { orderModules } from './moduleOrder.ts';

/** How the matrices of a checkpoint are arranged. */
export interface Layout {
  /** All matrices in reading order: the layer grid row by row, then the others. Cells are indices into this list. */
  readonly matrices: readonly MatrixView[];
  readonly indexOf: ReadonlyMap<string, number>;
  readonly main: Grid | null;
  /** Matrices outside the layers, if they are few enough to be listed by name. */
  readonly listed: readonly number[];
  /** A grid of them otherwise. */
  readonly loose: Grid | null;
}

/**
 * Matrices outside the layers that are listed at most: a longer list would fill the page, so more are drawn as a grid.
 */
const LISTED_LIMIT = 24;

export function buildLayout(matrices: readonly MatrixView[]): Layout {
  const inLayers = matrices.filter((matrix) => matrix.layer !== null);
  const apart = matrices.filter((matrix) => matrix.layer === null);
  const { grid, ordered } = layerGrid(inLayers);
  const all = [...ordered, ...apart];
  const indices = apart.map((_, position) => ordered.length + position);
  const asGrid = indices.length > LISTED_LIMIT;
  return {
    matrices: all,
    indexOf: new Map(all.map((matrix, index) => [matrix.name, index])),
    main: grid,
    listed: asGrid ? [] : indices,
    loose: asGrid ? wrappedGrid(indices) : null,
  };
}

function layerGrid(matrices: readonly MatrixView[]): { grid: Grid | null; ordered: readonly MatrixView[] } {
  if (matrices.length === 0) return { grid: null, ordered: [] };
  const columnNames = distinctColumns(matrices);
  const layers = layersOf(matrices);
  const columns = orderModules([...new Set(columnNames)]);
  const columnOf = new Map(columns.map((column, index) => [column, index]));
  const rowOf = new Map(layers.map((layer, index) => [keyOf(layer), index]));
  const placed = new Int32Array(layers.length * columns.length).fill(-1);
  matrices.forEach((matrix, index) => {
    placed[rowOf.get(keyOf(matrix))! * columns.length + columnOf.get(columnNames[index]!)!] = index;
  });
  const ordered: MatrixView[] = [];
  const cells = placed.map((index) => (index < 0 ? -1 : ordered.push(matrices[index]!) - 1));
  const rows = layers.map(({ stack, layer }) => (stack === undefined ? `${layer}` : `${stack} ${layer}`));
  const breaks = layers.flatMap(({ stack }, row) => (row > 0 && layers[row - 1]!.stack !== stack ? [row] : []));
  return { grid: { kind: 'layers', rows, breaks, columns, width: columns.length, cells }, ordered };
}

/** The layers of all stacks: stack by stack along the flow of data, each by number. */
function layersOf(matrices: readonly MatrixView[]): Pick<MatrixView, 'stack' | 'layer'>[] {
  const layers = new Map(matrices.map((matrix) => [keyOf(matrix), matrix]));
  return [...layers.values()].sort((a, b) => compareStacks(a.stack ?? '', b.stack ?? '') || a.layer! - b.layer!);
}

const keyOf = ({ stack, layer }: Pick<MatrixView, 'stack' | 'layer'>): string => `${layer} ${stack ?? ''}`;

/**
 * The column of each matrix. Two matrices of a layer with the same module, as in unknown naming schemes, get separate
 * columns.
 */
function distinctColumns(matrices: readonly MatrixView[]): string[] {
  const seen = new Map<string, number>();
  return matrices.map((matrix) => {
    const { module } = matrix;
    const key = `${keyOf(matrix)}\n${module}`;
    const count = (seen.get(key) ?? 0) + 1;
    seen.set(key, count);
    return count === 1 ? module : `${module} (${count})`;
  });
}

function wrappedGrid(indices: readonly number[]): Grid {
  const width = Math.ceil(Math.sqrt(indices.length * 2));
  const rows = Math.ceil(indices.length / width);
  const cells = new Int32Array(rows * width).fill(-1);
  cells.set(indices);
  return {
    kind: 'wrapped',
    rows: Array.from({ length: rows }, (_, row) => String(row * width + 1)),
    breaks: [],
    columns: [],
    width,
    cells,
  };
}
