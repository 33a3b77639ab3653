import type { MatrixView } from '../../src/protocol/service.ts';
import { orderModules } from './moduleOrder.ts';

/** A table of cells: rows of layers by columns of modules, or many loose matrices wrapped into lines. */
export interface Grid {
  readonly kind: 'layers' | 'wrapped';
  /** One label per row. */
  readonly rows: readonly string[];
  /** One module name per column; empty for a wrapped grid, whose columns mean nothing. */
  readonly columns: readonly string[];
  readonly width: number;
  /** Index of the matrix at row * width + column, or -1 where there is none. */
  readonly cells: Int32Array;
}

/** Where the matrices of a checkpoint are shown. */
export interface Layout {
  /** All matrices in reading order: the layer grid row by row, then those apart. Cells index this list. */
  readonly matrices: readonly MatrixView[];
  readonly indexOf: ReadonlyMap<string, number>;
  readonly main: Grid | null;
  /** Indices of the matrices outside the layer stack, while they are few enough to be listed by name. */
  readonly listed: readonly number[];
  /** The same as a grid where they are many. */
  readonly loose: Grid | null;
}

/** More loose matrices than this are drawn as a grid, since a list would fill the page. */
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

/** Row and column of a matrix in `grid`; null where it is not in it. */
export function placeIn(grid: Grid, index: number): { row: number; column: number } | null {
  const cell = index < 0 ? -1 : grid.cells.indexOf(index);
  return cell < 0 ? null : { row: Math.floor(cell / grid.width), column: cell % grid.width };
}

/** The index of the matrix in a cell, or -1. */
export function cellAt(grid: Grid, row: number, column: number): number {
  if (row < 0 || column < 0 || column >= grid.width || row >= grid.rows.length) return -1;
  return grid.cells[row * grid.width + column] ?? -1;
}

/**
 * The next cell with a matrix from (row, column) in the direction (down, right), or null at the edge. Empty places are
 * jumped over, so that a model whose layers differ can be walked through with the arrow keys.
 */
export function step(
  grid: Grid,
  from: { readonly row: number; readonly column: number },
  down: number,
  right: number,
): { row: number; column: number } | null {
  let { row, column } = from;
  for (;;) {
    row += down;
    column += right;
    if (row < 0 || column < 0 || row >= grid.rows.length || column >= grid.width) return null;
    if (cellAt(grid, row, column) >= 0) return { row, column };
  }
}

/** The module name split for a header: what many columns share, and what tells them apart. */
export function splitModule(module: string): { group: string; label: string } {
  const dot = module.lastIndexOf('.');
  return dot < 0 ? { group: '', label: module } : { group: module.slice(0, dot), label: module.slice(dot + 1) };
}

function layerGrid(matrices: readonly MatrixView[]): { grid: Grid | null; ordered: readonly MatrixView[] } {
  if (matrices.length === 0) return { grid: null, ordered: [] };
  const columnNames = distinctColumns(matrices);
  const layers = [...new Set(matrices.map((matrix) => matrix.layer!))].sort((a, b) => a - b);
  const columns = orderModules([...new Set(columnNames)]);
  const columnOf = new Map(columns.map((column, index) => [column, index]));
  const rowOf = new Map(layers.map((layer, index) => [layer, index]));
  const placed = new Int32Array(layers.length * columns.length).fill(-1);
  matrices.forEach((matrix, index) => {
    placed[rowOf.get(matrix.layer!)! * columns.length + columnOf.get(columnNames[index]!)!] = index;
  });
  const ordered: MatrixView[] = [];
  const cells = placed.map((index) => (index < 0 ? -1 : ordered.push(matrices[index]!) - 1));
  return { grid: { kind: 'layers', rows: layers.map(String), columns, width: columns.length, cells }, ordered };
}

/** Column name of each matrix; two of one layer with the same module (an unknown naming) get columns of their own. */
function distinctColumns(matrices: readonly MatrixView[]): string[] {
  const seen = new Map<string, number>();
  return matrices.map(({ layer, module }) => {
    const key = `${layer}\n${module}`;
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
    columns: [],
    width,
    cells,
  };
}
