import type { Backend, RowSource } from '../../devices/backend.ts';
import type { StoredMatrix } from '../../model/storedMatrix.ts';
import { sumOfSquares } from '../../spectrum/eachSlab.ts';
import { asStored, downloadedRows, uploadedRows, withProductRows } from '../../spectrum/productRows.ts';
import type { WrittenFactors } from '../../write/residual.ts';

/**
 * ||W - b a||_F / ||W||_F for the factors as written, with the product in f32 on the device and the sums in f64. Agrees
 * with `measureResidual` up to rounding of about 1e-7, but does not take hours on a large checkpoint.
 */
export async function deviceResidual(
  backend: Backend,
  source: RowSource,
  { transposed }: Pick<StoredMatrix, 'transposed'>,
  factors: WrittenFactors,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { name, rows, cols } = source;
  let whole = 0;
  const read: RowSource['read'] = async (row, out, cancel) => {
    await source.read(row, out, cancel);
    for (const value of out) whole += value * value;
  };
  const stored = asStored({ rows, transposed }, factors);
  const from = uploadedRows({ name, rows, cols, read });
  const lost = await withProductRows(backend, source, stored, from, (residual) =>
    sumOfSquares(downloadedRows(backend, residual), signal),
  );
  return lost === 0 ? 0 : Math.sqrt(lost / whole);
}
