import type { BalancedFactors } from '../base/balancedFactors.ts';
import type { Backend, Matrix } from '../devices/backend.ts';
import { Scope } from './scope.ts';

/**
 * ||W X - B A X'||_F / ||W X||_F with the products in f32 on the device and the sums in f64; 0 if both are zero.
 * @param dense rows of X^T, t x n, row-major
 * @param compressed rows of X'^T, over the same tokens
 */
export async function errorOnInputs(
  backend: Backend,
  { matrix, transposed }: { readonly matrix: Matrix; readonly transposed: boolean },
  { b, a }: BalancedFactors,
  dense: Float32Array,
  compressed: Float32Array,
): Promise<number> {
  const [m, n] = transposed ? [matrix.cols, matrix.rows] : [matrix.rows, matrix.cols];
  const [tokens, rank] = [dense.length / n, a.length / n];
  return Scope.run(backend, async (scope) => {
    const upload = (rows: number, cols: number, values: Float32Array) =>
      scope.upload(rows, cols, (out) => out.set(values));
    const y = await scope.allocate(tokens, m);
    await backend.multiply(y, await upload(tokens, n, dense), matrix, { transposeB: !transposed });
    const whole = sumOfSquares(await backend.download(y));
    const narrow = await scope.allocate(tokens, rank);
    await backend.multiply(narrow, await upload(tokens, n, compressed), await upload(rank, n, a), { transposeB: true });
    await backend.multiply(y, narrow, await upload(m, rank, b), { transposeB: true, alpha: -1, beta: 1 });
    const lost = sumOfSquares(await backend.download(y));
    return lost === 0 ? 0 : Math.sqrt(lost / whole);
  });
}

function sumOfSquares(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return sum;
}
