import { RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import type { Backend, EntrySums, Matrix, RowSource } from '../../devices/backend.ts';
import type { Linear, Step } from '../operations/linear.ts';
import type { StoredLinear } from './weights.ts';

/** Entries at a time: some 10 ms of reading and decoding, so that cancelling is quick. */
const STEP = 2 ** 20;

/** Decodes the weights of a module into device memory. The caller frees them with `freeLinear`. */
export async function uploadLinear(
  backend: Backend,
  name: string,
  { outputs, inputs, factors }: StoredLinear,
  bias: Float32Array | undefined,
  signal: AbortSignal | undefined,
): Promise<Linear> {
  const steps: Step[] = [];
  try {
    for (const { source, transposed } of factors)
      steps.push({ matrix: await uploadRows(backend, source, signal), transpose: !transposed });
    return { name, outputs, inputs, steps, bias };
  } catch (error) {
    for (const { matrix } of steps) backend.free(matrix);
    throw error;
  }
}

export function freeLinear(backend: Backend, { steps }: Linear): void {
  for (const { matrix } of steps) backend.free(matrix);
}

async function uploadRows(backend: Backend, source: RowSource, signal: AbortSignal | undefined): Promise<Matrix> {
  const { name, rows, cols } = source;
  const matrix = await backend.allocate(rows, cols);
  try {
    const step = Math.max(1, Math.floor(STEP / cols));
    for (let row = 0; row < rows; row += step) {
      throwIfCancelled(signal, name);
      const count = Math.min(step, rows - row);
      const { largest } = await uploadPart(backend, source, matrix, row, count, signal);
      if (Number.isNaN(largest)) throw notFinite(name);
    }
    return matrix;
  } catch (error) {
    backend.free(matrix);
    throw error;
  }
}

/** Rows that only `read` can compute are handed over as f32, so that the device looks for NaN in them as well. */
function uploadPart(
  backend: Backend,
  source: RowSource,
  matrix: Matrix,
  row: number,
  count: number,
  signal: AbortSignal | undefined,
): Promise<EntrySums> {
  const { stored } = source;
  if (stored) return backend.uploadStored(matrix, row, count, stored.encoding, (out) => stored.read(row, out, signal));
  return backend.uploadStored(matrix, row, count, 'F32', (out) =>
    source.read(row, new Float32Array(out.buffer, out.byteOffset, count * matrix.cols), signal),
  );
}

function notFinite(name: string): RankscopeError {
  return new RankscopeError('not-finite', name, 'contains NaN or infinity', 'Such a network computes nothing');
}
