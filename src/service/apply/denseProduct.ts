import { throwIfCancelled } from '../../base/errors.ts';
import type { Backend } from '../../devices/backend.ts';
import type { StoredMatrix } from '../../model/storedMatrix.ts';
import { transposeOf } from '../../spectrum/transpose.ts';
import type { FoundFactors } from '../../write/factorTensors.ts';
import type { WrittenFactors } from '../../write/residual.ts';

/** Elements of the product on the device at any time: 64 MiB in f32. */
const SLAB = 2 ** 24;

/** B A (rows x cols, row-major) in the order in which the matrix is stored, multiplied in f32 on the device. */
export async function denseProduct(
  backend: Backend,
  { name, rows, cols, transposed }: Pick<StoredMatrix, 'name' | 'rows' | 'cols' | 'transposed'>,
  found: FoundFactors,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const { a, b, rank } = asFactors(found);
  const [left, right] = transposed ? [transposeOf(a, rows), transposeOf(b, rank)] : [b, a];
  const product = new Float32Array(rows * cols);
  const height = Math.max(1, Math.min(rows, Math.floor(SLAB / cols)));
  const factor = await backend.allocate(rank, cols);
  try {
    await backend.upload(factor, 0, rank, (out) => out.set(right));
    for (let row = 0; row < rows; row += height) {
      throwIfCancelled(signal, name);
      const count = Math.min(height, rows - row);
      const slab = await backend.allocate(count, cols);
      const part = await backend.allocate(count, rank);
      try {
        await backend.upload(part, 0, count, (out) => out.set(left.subarray(row * rank, (row + count) * rank)));
        await backend.multiply(slab, part, factor, { signal });
        product.set(await backend.download(slab), row * cols);
      } finally {
        backend.free(part);
        backend.free(slab);
      }
    }
  } finally {
    backend.free(factor);
  }
  return product;
}

/** Two factors of triplets, with sigma in the left one. */
function asFactors(found: FoundFactors): WrittenFactors {
  if ('a' in found) return found;
  const rank = found.values.length;
  const b = found.left.map((value, at) => value * found.values[at % rank]!);
  return { rank, a: transposeOf(found.right, rank), b };
}
