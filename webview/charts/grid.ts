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
