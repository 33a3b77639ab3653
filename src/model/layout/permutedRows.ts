import { throwIfCancelled } from '../../base/errors.ts';
import type { Tensor } from '../../checkpoint/tensor.ts';
import type { StoredLayout } from './layout.ts';

/** Elements read at a time: 4 MiB as f32. */
const READ_AT_ONCE = 2 ** 20;

/** Whether the rows are stored one after another, as a device expects them. */
export function isContiguous({ cols, rowStride, pieces }: StoredLayout): boolean {
  return pieces === 1 && rowStride === cols;
}

/**
 * Reads whole rows from `row` on whose parts lie apart in the tensor: the rows of a transposed convolution, stored as
 * (in, out, kernel), consist of one piece for each input. Pieces that follow each other closely are read together.
 */
export async function readPermuted(
  tensor: Tensor,
  { cols, offset, rowStride, pieces, pieceStride }: StoredLayout,
  row: number,
  out: Float32Array,
  signal?: AbortSignal,
): Promise<void> {
  const width = cols / pieces;
  const count = out.length / cols;
  const start = offset + row * rowStride;
  const span = (count - 1) * rowStride + width;
  // One read covers the wanted rows of several pieces where less than half of it is wasted.
  const together = pieces > 1 && 2 * span >= pieceStride ? Math.max(1, Math.floor(READ_AT_ONCE / pieceStride)) : 1;
  for (let piece = 0; piece < pieces; piece += together) {
    throwIfCancelled(signal, tensor.name);
    const here = Math.min(together, pieces - piece);
    const rowsAtOnce = together > 1 ? count : rowsPerRead(count, rowStride, width);
    for (let r = 0; r < count; r += rowsAtOnce) {
      const rows = Math.min(rowsAtOnce, count - r);
      const block = new Float32Array((here - 1) * pieceStride + (rows - 1) * rowStride + width);
      await tensor.read(start + piece * pieceStride + r * rowStride, block, signal);
      for (let p = 0; p < here; p++)
        for (let k = 0; k < rows; k++) {
          const from = p * pieceStride + k * rowStride;
          out.set(block.subarray(from, from + width), (r + k) * cols + (piece + p) * width);
        }
    }
  }
}

/** Rows that are read together: one where more than half of a read would be wasted. */
function rowsPerRead(count: number, rowStride: number, width: number): number {
  return 2 * width < rowStride ? 1 : Math.max(1, Math.min(count, Math.floor(READ_AT_ONCE / rowStride)));
}
