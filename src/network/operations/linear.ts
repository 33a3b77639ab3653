import type { Matrix } from '../../devices/backend.ts';
import type { Scope } from './run.ts';
import type { Tape } from './tape.ts';

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
  const { backend, pause, signal, tape } = scope;
  let current = x;
  for (const step of steps) {
    const { matrix, transpose } = step;
    await pause();
    const input = current;
    const next = await scope.take(x.rows, transpose ? matrix.rows : matrix.cols);
    await backend.multiply(next, input, matrix, { transposeB: transpose, signal });
    tape?.record([input], (back) => stepBack(back, input, step, next));
    if (input !== x) scope.free(input);
    current = next;
  }
  if (bias) await backend.network.addToRows(current, bias);
  return current;
}

/** With y = x op(M): the gradient of x is that of y times op(M)^T, that of op(M) is x^T times that of y. */
async function stepBack(tape: Tape, x: Matrix, { matrix, transpose }: Step, y: Matrix): Promise<void> {
  const gradient = tape.take(y);
  if (!gradient) return;
  try {
    if (tape.trains(matrix)) {
      const [a, b] = transpose ? [gradient, x] : [x, gradient];
      await tape.addProduct(matrix, a, b, { transposeA: true });
    }
    await tape.addProduct(x, gradient, matrix, { transposeB: !transpose });
  } finally {
    tape.backend.free(gradient);
  }
}
