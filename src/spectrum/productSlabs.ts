import { throwIfCancelled } from '../base/errors.ts';
import type { Backend } from '../devices/backend.ts';
import { transposeOf } from './transpose.ts';

/** A matrix as it is stored: W (m x n) itself, or its transpose. */
export interface StoredSize {
  readonly name: string;
  readonly rows: number;
  readonly cols: number;
  readonly transposed: boolean;
}

/** W ~ B A in [out, in] terms: b is m x r, a is r x n. */
interface TwoFactors {
  readonly rank: number;
  readonly a: Float32Array;
  readonly b: Float32Array;
}

interface SlabOptions {
  /** Fills rows from which those of the product are subtracted. */
  readonly from?: (row: number, out: Float32Array) => Promise<void>;
  readonly signal: AbortSignal | undefined;
}

/** Elements of the product on the device at any time: 64 MiB in f32. */
const SLAB = 2 ** 24;

/**
 * Multiplies B A in f32 on the device, in the order in which the matrix is stored, some rows at a time.
 * @throws RankscopeError 'cancelled', 'too-large', 'engine', and what `from` throws
 */
export async function productSlabs(
  backend: Backend,
  { name, rows, cols, transposed }: StoredSize,
  { rank, a, b }: TwoFactors,
  { from, signal }: SlabOptions,
  use: (row: number, slab: Float32Array) => void,
): Promise<void> {
  // As stored: W = left right, left rows x r. A matrix stored as its transpose is a^T b^T.
  const [left, right] = transposed ? [transposeOf(a, rows), transposeOf(b, rank)] : [b, a];
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
        if (from) await backend.upload(slab, 0, count, (out) => from(row, out));
        await backend.upload(part, 0, count, (out) => out.set(left.subarray(row * rank, (row + count) * rank)));
        await backend.multiply(slab, part, factor, { ...(from && { alpha: -1, beta: 1 }), signal });
        use(row, await backend.download(slab));
      } finally {
        backend.free(part);
        backend.free(slab);
      }
    }
  } finally {
    backend.free(factor);
  }
}
