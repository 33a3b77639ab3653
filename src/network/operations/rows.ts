/** Activations: the vector of each token, a row each, row-major in f32. */
export interface Rows {
  readonly rows: number;
  readonly cols: number;
  readonly values: Float32Array;
}

export function emptyRows(rows: number, cols: number): Rows {
  return { rows, cols, values: new Float32Array(rows * cols) };
}
