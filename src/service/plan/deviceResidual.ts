import { throwIfCancelled } from '../../base/errors.ts';
import type { Backend, RowSource } from '../../devices/backend.ts';
import type { StoredMatrix } from '../../model/storedMatrix.ts';
import { transposeOf } from '../../spectrum/transpose.ts';
import type { WrittenFactors } from '../../write/residual.ts';

/** Elements of the matrix on the device at any time: 64 MiB in f32. */
const SLAB = 2 ** 24;

/**
 * ||W - b a||_F / ||W||_F for the factors as written, with the product in f32 on the device and the sums in f64. Agrees
 * with `measureResidual` up to rounding of about 1e-7, but does not take hours on a large checkpoint.
 */
export async function deviceResidual(
  backend: Backend,
  source: RowSource,
  { transposed }: Pick<StoredMatrix, 'transposed'>,
  { rank, a, b }: WrittenFactors,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { rows, cols, name } = source;
  // As stored: W = left right, left rows x r. A matrix stored as its transpose is a^T b^T.
  const left = transposed ? transposeOf(a, rows) : b;
  const right = transposed ? transposeOf(b, rank) : a;
  const height = Math.max(1, Math.min(rows, Math.floor(SLAB / cols)));
  const factor = await backend.allocate(rank, cols);
  let lost = 0;
  let whole = 0;
  try {
    await backend.upload(factor, 0, rank, (out) => out.set(right));
    for (let row = 0; row < rows; row += height) {
      throwIfCancelled(signal, name);
      const count = Math.min(height, rows - row);
      const slab = await backend.allocate(count, cols);
      const part = await backend.allocate(count, rank);
      try {
        await backend.upload(slab, 0, count, async (out) => {
          await source.read(row, out, signal);
          whole += sumOfSquares(out);
        });
        await backend.upload(part, 0, count, (out) => out.set(left.subarray(row * rank, (row + count) * rank)));
        await backend.multiply(slab, part, factor, { alpha: -1, beta: 1 });
        lost += sumOfSquares(await backend.download(slab));
      } finally {
        backend.free(part);
        backend.free(slab);
      }
    }
  } finally {
    backend.free(factor);
  }
  return lost === 0 ? 0 : Math.sqrt(lost / whole);
}

function sumOfSquares(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return sum;
}
