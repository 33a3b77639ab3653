import type { Matrix, NormWeights } from '../../devices/backend.ts';
import type { Scope } from './run.ts';

/** A norm with its weights; the offset of its settings is added already. */
export type Norm = NormWeights;

/** Each stretch of `norm.weight.length` entries normalized by itself: the whole row, or each of its heads. */
export async function normalized(scope: Scope, x: Matrix, norm: Norm): Promise<Matrix> {
  const out = await scope.take(x.rows, x.cols);
  await scope.backend.network.normalize(out, x, norm);
  return out;
}
