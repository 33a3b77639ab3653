/** A table of cells: layers by modules, or many separate matrices wrapped into lines. */
export interface Grid {
  readonly kind: 'layers' | 'wrapped';
  /** Row labels. */
  readonly rows: readonly string[];
  /** Rows with which a new stack of layers begins. */
  readonly breaks: readonly number[];
  /** Module names, one per column; empty for a wrapped grid, whose columns have no meaning. */
  readonly columns: readonly string[];
  /** Whether the columns are numbered, so that it is enough to label some of them. */
  readonly numbered?: boolean;
  readonly width: number;
  /** Indices of cells (a matrix, or a group of experts) at row * width + column; -1 for none. */
  readonly cells: Int32Array;
}

/** Row and column of a matrix in `grid`; null if it is not there. */
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
 * The next cell with a matrix from (row, column) in direction (down, right); null at the edge. Empty cells are skipped,
 * so that the arrow keys work in models whose layers differ.
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

/** A module name split for the column heads: the group that columns share, and their own label. */
export function splitModule(module: string): { group: string; label: string } {
  const dot = module.lastIndexOf('.');
  return dot < 0 ? { group: '', label: module } : { group: module.slice(0, dot), label: module.slice(dot + 1) };
}
