import { RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import type { Backend, Matrix, RowSource } from '../../devices/backend.ts';
import { allFinite } from '../operations/allFinite.ts';
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
  const { name, rows, cols, stored } = source;
  const matrix = await backend.allocate(rows, cols);
  try {
    const step = Math.max(1, Math.floor(STEP / cols));
    for (let row = 0; row < rows; row += step) {
      throwIfCancelled(signal, name);
      const count = Math.min(step, rows - row);
      if (stored) {
        const read = async (out: Uint8Array) => stored.read(row, out, signal);
        const { largest } = await backend.uploadStored(matrix, row, count, stored.encoding, read);
        if (Number.isNaN(largest)) throw notFinite(name);
        continue;
      }
      await backend.upload(matrix, row, count, async (out) => {
        await source.read(row, out, signal);
        if (!allFinite(out)) throw notFinite(name);
      });
    }
    return matrix;
  } catch (error) {
    backend.free(matrix);
    throw error;
  }
}

function notFinite(name: string): RankscopeError {
  return new RankscopeError('not-finite', name, 'contains NaN or infinity', 'Such a network computes nothing');
}
