import { RankscopeError } from '../base/errors.ts';
import type { Pause } from '../base/eventLoop.ts';
import type { Backend, Matrix } from '../devices/backend.ts';

/** Second moments of what layers read over t tokens: X (n x t) in the dense network, X' in the compressed one. */
export interface InputMoments {
  /** n. */
  readonly inputs: number;
  /** X X'^T, n x n, row-major. */
  readonly cross: Float64Array;
  /** X' X'^T, n x n, row-major. */
  readonly own: Float64Array;
}

/** A matrix W (m x n) in device memory. */
export interface WeightToTruncate {
  /** For errors. */
  readonly name: string;
  readonly matrix: Matrix;
  /** Whether it is stored as (in, out): n x m. */
  readonly transposed: boolean;
  /** k of W'. */
  readonly rank: number;
}

/** W' = B A, balanced: column i of b and row i of a have equal norms. */
export interface BalancedFactors {
  /** m x k, row-major. */
  readonly b: Float32Array;
  /** k x n, row-major. */
  readonly a: Float32Array;
}

export interface TruncateOnInputsOptions {
  /** In units of the mean of the diagonal of X' X'^T; default 0.1. It pulls W' to W. */
  readonly ridge?: number;
  readonly signal?: AbortSignal | undefined;
  readonly pause?: Pause | undefined;
}

/**
 * The best W' of a rank for matrices that read the same inputs: min ||W X - W' X'||_F^2 + t ||W - W'||_F^2, which is
 * W' = [W A H]_k H^T with A = X X'^T + t I and H H^T = (X' X'^T + t I)^-1 (AA-SVD, objective 4, with a ridge).
 * @throws RankscopeError 'wrong-use' for a rank outside 1 .. min(m, n), 'not-finite' for moments that are NaN or
 *   infinite, 'too-large', 'cancelled', 'engine'
 */
export async function truncateOnInputs(
  _backend: Backend,
  _moments: InputMoments,
  weights: readonly WeightToTruncate[],
  _options: TruncateOnInputsOptions = {},
): Promise<BalancedFactors[]> {
  throw new RankscopeError('unsupported', weights[0]?.name ?? 'truncation', 'cannot be truncated on inputs yet');
}
