import { elementCount } from '../../../base/shape.ts';

/** The grid of a dataset's chunks, whose cells are counted in row-major order. */
export interface Grid {
  /** Cells along each dimension. */
  readonly shape: readonly number[];
  /** Cells from one cell to the next along each dimension. */
  readonly steps: readonly number[];
  readonly cells: number;
}

export function gridOf(shape: readonly number[], chunk: readonly number[]): Grid {
  const cells = shape.map((size, i) => Math.ceil(size / chunk[i]!));
  return { shape: cells, steps: stepsOf(cells), cells: elementCount(cells) };
}

/** Row-major strides, in elements. */
export function stepsOf(shape: readonly number[]): number[] {
  return shape.map((_, i) => elementCount(shape.slice(i + 1)));
}

/** The coordinates of a cell. */
export function placeOf(cell: number, { shape, steps }: Grid): number[] {
  return shape.map((size, i) => Math.floor(cell / steps[i]!) % size);
}
