import { RankscopeError } from '../base/errors.ts';
import type { Matrix, ProductForm } from './backend.ts';

/** @throws RankscopeError 'wrong-use' unless op(a) op(b) has the shape of `out`. */
export function checkProductShapes(
  out: Matrix,
  a: Matrix,
  b: Matrix,
  { transposeA = false, transposeB = false }: ProductForm,
): void {
  const [m, depth] = transposeA ? [a.cols, a.rows] : [a.rows, a.cols];
  const [depthB, n] = transposeB ? [b.cols, b.rows] : [b.rows, b.cols];
  if (depth === depthB && out.rows === m && out.cols === n) return;
  throw new RankscopeError(
    'wrong-use',
    'multiply',
    `(${m} x ${depth}) (${depthB} x ${n}) into ${out.rows} x ${out.cols}`,
  );
}
