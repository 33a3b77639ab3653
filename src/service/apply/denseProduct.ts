import type { Backend } from '../../devices/backend.ts';
import type { StoredMatrix } from '../../model/storedMatrix.ts';
import { readWhole } from '../../spectrum/eachSlab.ts';
import { asStored, downloadedRows, withProductRows } from '../../spectrum/productRows.ts';
import { transposeOf } from '../../spectrum/transpose.ts';
import type { FoundFactors } from '../../write/factorTensors.ts';
import type { WrittenFactors } from '../../write/residual.ts';

/** B A (rows x cols, row-major) in the order in which the matrix is stored, multiplied in f32 on the device. */
export function denseProduct(
  backend: Backend,
  matrix: Pick<StoredMatrix, 'name' | 'rows' | 'cols' | 'transposed'>,
  found: FoundFactors,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  return withProductRows(backend, matrix, asStored(matrix, asFactors(found)), undefined, (rows) =>
    readWhole(downloadedRows(backend, rows), signal),
  );
}

/** Two factors of triplets, with sigma in the left one. */
function asFactors(found: FoundFactors): WrittenFactors {
  if ('a' in found) return found;
  const rank = found.values.length;
  const b = found.left.map((value, at) => value * found.values[at % rank]!);
  return { rank, a: transposeOf(found.right, rank), b };
}
