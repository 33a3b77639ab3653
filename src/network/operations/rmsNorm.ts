import { emptyRows, type Rows } from './rows.ts';

export interface RmsNorm {
  readonly weight: Float32Array;
  readonly epsilon: number;
}

/** y = w x / sqrt(mean(x^2) + epsilon) (Zhang and Sennrich, arXiv 1910.07467). */
export function rmsNorm(x: Rows, { weight, epsilon }: RmsNorm): Rows {
  const size = weight.length;
  const y = emptyRows(x.rows, x.cols);
  for (let at = 0; at < x.values.length; at += size) {
    let squares = 0;
    for (let i = 0; i < size; i++) squares += x.values[at + i]! ** 2;
    const scale = 1 / Math.sqrt(squares / size + epsilon);
    for (let i = 0; i < size; i++) y.values[at + i] = x.values[at + i]! * scale * weight[i]!;
  }
  return y;
}
