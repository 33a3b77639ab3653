import { type BalancedFactors, balanced } from '../base/balancedFactors.ts';
import type { Backend, RoutineOptions, RowSource } from '../devices/backend.ts';
import { subProgress } from './load.ts';
import { Scope } from './scope.ts';
import { type SeenBy, uploaded, withSeenRows } from './seenRows.ts';
import { truncatedSvd } from './truncated.ts';

export interface TruncatedOnSeen extends BalancedFactors {
  /** ||(W - W') X||_F / ||W X||_F, with the shrinkage of the statistics in it. */
  readonly error: number;
  /** The singular values of W X that W' keeps. */
  readonly values: Float64Array;
  /** ||W X||_F. */
  readonly frobeniusNorm: number;
}

/**
 * The best W' of a rank on inputs that the matrix itself reads: min ||(W - W') X||_F is W' = U_k U_k^T W with U_k the
 * leading left singular vectors of W R^T, R^T R = X X^T (SVD-LLM, arXiv 2403.07378, without its inverse). B = U_k and
 * A = U_k^T W, balanced.
 * @param matrix W (m x n) or, `transposed`, W^T
 * @throws RankscopeError 'wrong-use' for a rank outside 1 .. min(m, n), 'not-finite', 'too-large', 'cancelled',
 *   'engine'
 */
export async function truncateOnSeen(
  backend: Backend,
  matrix: { readonly source: RowSource; readonly transposed: boolean },
  seenBy: SeenBy,
  rank: number,
  options: RoutineOptions = {},
): Promise<TruncatedOnSeen> {
  const { source, transposed } = matrix;
  const { left, right, values, frobeniusNorm } = await withSeenRows(
    backend,
    matrix,
    seenBy,
    subProgress(options, 0, 0.2),
    (rows) => truncatedSvd(backend, rows, rank, subProgress(options, 0.2, 0.9)),
  );
  const kept = values.reduce((sum, value) => sum + value * value, 0);
  const error = frobeniusNorm > 0 ? Math.sqrt(Math.max(0, 1 - kept / frobeniusNorm ** 2)) : 0;
  const b = transposed ? right : left;
  return Scope.run(backend, async (scope) => {
    const u = await scope.upload(b.length / rank, rank, (out) => out.set(b));
    const w = await uploaded(scope, source.name, source.rows, source.cols, source, options.signal);
    const a = await scope.allocate(rank, seenBy.inputs);
    await backend.multiply(a, u, w, { transposeA: true, transposeB: transposed, signal: options.signal });
    return { ...balanced(b, await backend.download(a), rank), error, values, frobeniusNorm };
  });
}
