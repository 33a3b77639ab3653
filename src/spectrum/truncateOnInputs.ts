import { type BalancedFactors, balanced } from '../base/balancedFactors.ts';
import { RankscopeError } from '../base/errors.ts';
import type { Pause } from '../base/eventLoop.ts';
import type { Backend, Matrix, RowSource } from '../devices/backend.ts';
import { inverseRoot, meanDiagonal } from './inverseRoot.ts';
import { Scope } from './scope.ts';
import { truncatedSvd } from './truncated.ts';

/** With 16,384 tokens for 576 to 1,536 inputs: without a ridge, truncation on compressed inputs gains nothing. */
const RIDGE = 0.1;

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

export interface TruncateOnInputsOptions {
  /** In units of the mean of the diagonal of X' X'^T; default 0.1. It pulls W' to W. */
  readonly ridge?: number;
  readonly signal?: AbortSignal | undefined;
  readonly pause?: Pause | undefined;
}

/**
 * The best W' of a rank for matrices that read the same inputs: min ||W X - W' X'||_F^2 + t ||W - W'||_F^2, which is
 * W' = [W A H]_k H^T with A = X X'^T + t I and H H^T = (X' X'^T + t I)^+ (AA-SVD, objective 4; the ridge is ours, as
 * few tokens say little of most directions). [.]_k is the truncated SVD, on the device in f32. For X' = X and t = 0,
 * this is U_k U_k^T W with U_k the left singular vectors of W X. Memory on the device: four n x n matrices, or what the
 * largest SVD takes.
 * @throws RankscopeError 'wrong-use' for a rank outside 1 .. min(m, n) or X' = 0, 'not-finite' for moments that are NaN
 *   or infinite, 'too-large', 'cancelled', 'engine'
 */
export async function truncateOnInputs(
  backend: Backend,
  { inputs: n, cross, own }: InputMoments,
  weights: readonly WeightToTruncate[],
  { ridge = RIDGE, signal, pause = () => undefined }: TruncateOnInputsOptions = {},
): Promise<BalancedFactors[]> {
  for (const weight of weights) refuse(weight, outputsOf(weight), n);
  const shift = ridge * meanDiagonal(own, n);
  // What is NaN or infinite in X or X' is so on the diagonals as well.
  if (!Number.isFinite(shift) || !Number.isFinite(meanDiagonal(cross, n)))
    throw new RankscopeError('not-finite', weights[0]!.name, 'its inputs are NaN, infinite, or too large for f32');
  return Scope.run(backend, async (scope) => {
    const h = await inverseRoot(scope, own, n, { ridge, signal, pause });
    const a = await scope.upload(n, n, (out) => {
      out.set(cross);
      for (let i = 0; i < n; i++) out[i * n + i] = cross[i * n + i]! + shift;
    });
    // A H once for all, where that is less work than W A for each.
    const whitening = [a, h];
    if (weights.reduce((sum, weight) => sum + outputsOf(weight), 0) > n) {
      const product = await scope.allocate(n, h.cols);
      await backend.multiply(product, a, h, { signal });
      scope.free(a);
      whitening.splice(0, 2, product);
    }
    const factors: BalancedFactors[] = [];
    for (const weight of weights) {
      await pause();
      factors.push(await truncated(scope, weight, whitening, h, signal));
    }
    return factors;
  });
}

async function truncated(
  scope: Scope,
  weight: WeightToTruncate,
  whitening: readonly Matrix[],
  h: Matrix,
  signal: AbortSignal | undefined,
): Promise<BalancedFactors> {
  const { backend } = scope;
  const { name, matrix, transposed, rank } = weight;
  const [m, n, r] = [outputsOf(weight), h.rows, h.cols];
  let [whitened, transposeA] = [matrix, transposed];
  for (const by of whitening) {
    const next = await scope.allocate(m, by.cols);
    await backend.multiply(next, whitened, by, { transposeA, signal });
    if (whitened !== matrix) scope.free(whitened);
    [whitened, transposeA] = [next, false];
  }
  const values = await backend.download(whitened);
  scope.free(whitened);
  const read: RowSource['read'] = async (row, out) => void out.set(values.subarray(row * r, row * r + out.length));
  // Dependent inputs leave no more than r directions.
  const kept = Math.min(rank, r);
  const {
    left,
    values: sigma,
    right,
  } = await truncatedSvd(backend, { name, rows: m, cols: r, read }, kept, { signal });
  const v = await scope.upload(r, kept, (out) => out.set(right));
  const product = await scope.allocate(kept, n);
  await backend.multiply(product, v, h, { transposeA: true, transposeB: true, signal });
  const [b, down] = [new Float32Array(m * rank), new Float32Array(rank * n)];
  down.set(await backend.download(product));
  for (const each of [v, product]) scope.free(each);
  for (let i = 0; i < m; i++) for (let k = 0; k < kept; k++) b[i * rank + k] = left[i * kept + k]! * sigma[k]!;
  return balanced(b, down, rank);
}

const outputsOf = ({ matrix, transposed }: WeightToTruncate) => (transposed ? matrix.cols : matrix.rows);

function refuse({ name, rank }: WeightToTruncate, m: number, n: number): void {
  if (Number.isInteger(rank) && rank >= 1 && rank <= Math.min(m, n)) return;
  const hint = `Ask for a rank from 1 to ${Math.min(m, n)}`;
  throw new RankscopeError('wrong-use', name, `rank ${rank} of a ${m} x ${n} matrix`, hint);
}
