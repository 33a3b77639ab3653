import { elementCount } from '../../../base/shape.ts';
/** Chunks lie on a grid. Its cells are counted row-major, as elements are. */
export interface Grid {
  /** Cells per dimension. */
  readonly shape: readonly number[];
  /** Cells from one to the next along a dimension. */
  readonly steps: readonly number[];
  readonly cells: number;
}

export function gridOf(shape: readonly number[], chunk: readonly number[]): Grid {
  const cells = shape.map((size, i) => Math.ceil(size / chunk[i]!));
  return { shape: cells, steps: stepsOf(cells), cells: elementCount(cells) };
}

/** How far the next element along each dimension is, row-major. */
export function stepsOf(shape: readonly number[]): number[] {
  return shape.map((_, i) => elementCount(shape.slice(i + 1)));
}

/** The place of a cell along each dimension. */
export function placeOf(cell: number, { shape, steps }: Grid): number[] {
  return shape.map((size, i) => Math.floor(cell / steps[i]!) % size);
}
