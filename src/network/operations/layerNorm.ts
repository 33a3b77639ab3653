import { emptyRows, type Rows } from './rows.ts';

export interface LayerNorm {
  readonly weight: Float32Array;
  readonly bias: Float32Array | undefined;
  readonly epsilon: number;
}

/** y = w (x - mean) / sqrt(variance + epsilon) + b (Ba, Kiros, Hinton, arXiv 1607.06450). */
export function layerNorm(x: Rows, { weight, bias, epsilon }: LayerNorm): Rows {
  const size = weight.length;
  const y = emptyRows(x.rows, x.cols);
  for (let at = 0; at < x.values.length; at += size) {
    let sum = 0;
    for (let i = 0; i < size; i++) sum += x.values[at + i]!;
    const mean = sum / size;
    let squares = 0;
    for (let i = 0; i < size; i++) squares += (x.values[at + i]! - mean) ** 2;
    const scale = 1 / Math.sqrt(squares / size + epsilon);
    for (let i = 0; i < size; i++) {
      y.values[at + i] = (x.values[at + i]! - mean) * scale * weight[i]! + (bias ? bias[i]! : 0);
    }
  }
  return y;
}
