import type { Backend, Matrix } from '../../devices/backend.ts';
import type { Rows } from './rows.ts';
import type { Run } from './run.ts';

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

/** Multiplications in a product at a time: 30 ms with a BLAS, some 100 ms without, so that cancelling is quick. */
const AT_ONCE = 2 ** 32;

/** The outputs of several layers that read the same rows, which are uploaded once. */
export async function linear(run: Run, x: Rows, layers: readonly Linear[]): Promise<Rows[]> {
  const { backend, pause } = run;
  await run.observe?.(x, layers);
  const largest = Math.max(...layers.map((layer) => layer.outputs * layer.inputs));
  const height = Math.max(1, Math.min(x.rows, Math.floor(AT_ONCE / largest)));
  const parts = layers.map((): Float32Array[] => []);
  for (let row = 0; row < x.rows; row += height) {
    const count = Math.min(height, x.rows - row);
    const input = await backend.allocate(count, x.cols);
    try {
      await backend.upload(input, 0, count, (out) => out.set(x.values.subarray(row * x.cols, (row + count) * x.cols)));
      for (const [k, layer] of layers.entries()) {
        await pause();
        parts[k]!.push(await outputOf(backend, input, layer));
      }
    } finally {
      backend.free(input);
    }
  }
  return layers.map(({ outputs, bias }, k) => {
    const values = joined(parts[k]!, x.rows * outputs);
    if (bias) addBias(values, bias);
    return { rows: x.rows, cols: outputs, values };
  });
}

function joined(parts: readonly Float32Array[], length: number): Float32Array {
  if (parts.length === 1) return parts[0]!;
  const whole = new Float32Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

async function outputOf(backend: Backend, input: Matrix, { steps }: Linear): Promise<Float32Array> {
  let current = input;
  try {
    for (const { matrix, transpose } of steps) {
      const next = await backend.allocate(input.rows, transpose ? matrix.rows : matrix.cols);
      const previous = current;
      current = next;
      try {
        await backend.multiply(next, previous, matrix, { transposeB: transpose });
      } finally {
        if (previous !== input) backend.free(previous);
      }
    }
    return await backend.download(current);
  } finally {
    if (current !== input) backend.free(current);
  }
}

function addBias(values: Float32Array, bias: Float32Array): void {
  for (let at = 0; at < values.length; at += bias.length)
    for (let i = 0; i < bias.length; i++) values[at + i]! += bias[i]!;
}
