import { yieldOrCancel } from '../base/eventLoop.ts';
import type { StoredMatrix } from '../model/storedMatrix.ts';
import { asStored } from '../spectrum/productRows.ts';

/** Factors as they are in the file: W ~ b a. */
export interface WrittenFactors {
  readonly rank: number;
  /** m x r, row-major. */
  readonly b: Float32Array;
  /** r x n, row-major. */
  readonly a: Float32Array;
}

/** Elements of the matrix in memory at a time. */
const BLOCK = 1 << 20;

/**
 * ||W - b a||_F / ||W||_F, measured by reading the rows of W again, with sums in f64. For a zero matrix, 0 if the
 * factors are zero, else infinity.
 */
export async function measureResidual(
  matrix: StoredMatrix,
  factors: WrittenFactors,
  signal?: AbortSignal,
): Promise<number> {
  const { rows, cols, tensor, offset } = matrix;
  const { left, right } = asStored(matrix, factors);
  const height = Math.max(1, Math.min(rows, Math.floor(BLOCK / cols)));
  const block = new Float32Array(height * cols);
  const product = new Float64Array(cols);
  let lost = 0;
  let whole = 0;
  const pause = yieldOrCancel(signal, matrix.name);
  for (let first = 0; first < rows; first += height) {
    const part = block.subarray(0, Math.min(height, rows - first) * cols);
    await tensor.read(offset + first * cols, part, signal);
    for (let row = 0; row * cols < part.length; row++) {
      product.fill(0);
      for (let k = 0; k < factors.rank; k++) {
        const scale = left[(first + row) * factors.rank + k]!;
        for (let j = 0, at = k * cols; j < cols; j++, at++) product[j]! += scale * right[at]!;
      }
      for (let j = 0, at = row * cols; j < cols; j++, at++) {
        whole += part[at]! ** 2;
        lost += (part[at]! - product[j]!) ** 2;
      }
      await pause();
    }
  }
  return lost === 0 ? 0 : Math.sqrt(lost / whole);
}
