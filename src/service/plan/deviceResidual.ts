import type { Backend, RowSource } from '../../devices/backend.ts';
import type { StoredMatrix } from '../../model/storedMatrix.ts';
import { productSlabs } from '../../spectrum/productSlabs.ts';
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
  let lost = 0;
  let whole = 0;
  const from = async (row: number, out: Float32Array) => {
    await source.read(row, out, signal);
    whole += sumOfSquares(out);
  };
  await productSlabs(backend, { name, rows, cols, transposed }, factors, { from, signal }, (_row, slab) => {
    lost += sumOfSquares(slab);
  });
  return lost === 0 ? 0 : Math.sqrt(lost / whole);
}

function sumOfSquares(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return sum;
}
