import type { Matrix } from '../backend.ts';

/** Whole rows of a matrix in one buffer. */
export interface RowBlock {
  readonly buffer: GPUBuffer;
  readonly row: number;
  readonly rows: number;
}

/** A row-major f32 matrix, split by rows over as many buffers as the adapter's binding size requires. */
export interface GpuMatrix extends Matrix {
  readonly blocks: readonly RowBlock[];
}

/** A rectangle of a matrix. */
export interface View {
  readonly matrix: GpuMatrix;
  readonly row: number;
  readonly column: number;
  readonly rows: number;
  readonly columns: number;
}

export function whole(matrix: GpuMatrix): View {
  return { matrix, row: 0, column: 0, rows: matrix.rows, columns: matrix.cols };
}

export function part(
  matrix: GpuMatrix,
  row: number,
  column: number,
  rows = matrix.rows - row,
  columns = matrix.cols - column,
): View {
  return { matrix, row, column, rows, columns };
}

/** The rows of a view that lie in one buffer. */
export interface BufferSlice {
  readonly buffer: GPUBuffer;
  /** Counted from the view's first row. */
  readonly row: number;
  readonly rows: number;
  /** Elements from the start of the buffer to the first of the slice. */
  readonly offset: number;
}

export function bufferSlices({ matrix, row, column, rows }: View): BufferSlice[] {
  return matrix.blocks.flatMap((block) => {
    const first = Math.max(row, block.row);
    const end = Math.min(row + rows, block.row + block.rows);
    if (first >= end) return [];
    return [
      {
        buffer: block.buffer,
        row: first - row,
        rows: end - first,
        offset: (first - block.row) * matrix.cols + column,
      },
    ];
  });
}

/** Splits the rows of a matrix over buffers of at most `bindingBytes`. */
export function rowBlocks(rows: number, cols: number, bindingBytes: number): { row: number; rows: number }[] {
  const most = Math.max(1, Math.floor(bindingBytes / (4 * Math.max(cols, 1))));
  return Array.from({ length: Math.ceil(rows / most) }, (_, i) => ({
    row: i * most,
    rows: Math.min(most, rows - i * most),
  }));
}
