import type { Backend, Matrix, RowSource } from '../../src/devices/backend.ts';

/** Uploads a matrix. */
export async function onDevice(backend: Backend, data: Float32Array, rows: number, cols: number): Promise<Matrix> {
  const matrix = await backend.allocate(rows, cols);
  await backend.upload(matrix, 0, rows, (out) => out.set(data));
  return matrix;
}

/** Runs `use` with an uploaded matrix, then frees it. */
export async function withMatrix<Result>(
  backend: Backend,
  data: Float32Array,
  rows: number,
  cols: number,
  use: (matrix: Matrix) => Promise<Result>,
): Promise<Result> {
  const matrix = await onDevice(backend, data, rows, cols);
  try {
    return await use(matrix);
  } finally {
    backend.free(matrix);
  }
}

/** Downloads a matrix and frees it. */
export async function taken(backend: Backend, matrix: Matrix): Promise<Float32Array> {
  try {
    return await backend.download(matrix);
  } finally {
    backend.free(matrix);
  }
}

/** A row source over an array. */
export function sourceOf(data: Float32Array, rows: number, cols: number, name = 'matrix'): RowSource {
  return {
    name,
    rows,
    cols,
    async read(row, out) {
      out.set(data.subarray(row * cols, row * cols + out.length));
    },
  };
}
