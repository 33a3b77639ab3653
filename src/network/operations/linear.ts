import type { Matrix } from '../../devices/backend.ts';
import type { Scope } from './run.ts';

/** y = W x + b, with W in device memory as one matrix, or as the product of several. */
export interface Linear {
  /** The module's name. */
  readonly name: string;
  readonly outputs: number;
  readonly inputs: number;
  /** Applied in this order: x <- x op(matrix). */
  readonly steps: readonly Step[];
  readonly bias: Float32Array | undefined;
}

export interface Step {
  readonly matrix: Matrix;
  /** Whether it is stored as (out, in). */
  readonly transpose: boolean;
}

/** The outputs of several layers that read the same rows. */
export async function linear(scope: Scope, x: Matrix, layers: readonly Linear[]): Promise<Matrix[]> {
  const { backend, observe } = scope;
  if (observe) await observe({ rows: x.rows, cols: x.cols, values: await backend.download(x) }, layers);
  const outputs: Matrix[] = [];
  for (const layer of layers) outputs.push(await outputOf(scope, x, layer));
  return outputs;
}

async function outputOf(scope: Scope, x: Matrix, { steps, bias }: Linear): Promise<Matrix> {
  const { backend, pause, signal } = scope;
  let current = x;
  for (const { matrix, transpose } of steps) {
    await pause();
    const next = await scope.take(x.rows, transpose ? matrix.rows : matrix.cols);
    await backend.multiply(next, current, matrix, { transposeB: transpose, signal });
    if (current !== x) scope.free(current);
    current = next;
  }
  if (bias) await backend.network.addToRows(current, bias);
  return current;
}
