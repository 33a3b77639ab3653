import { RankscopeError } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import type { SingularTriplets } from '../../base/singularTriplets.ts';
import type { RoutineOptions } from '../../devices/backend.ts';
import type { FactorizationCost, PredictedError } from '../../model/trial.ts';
import type { Scope } from '../scope.ts';
import type { LoadedMatrix } from './loadedMatrix.ts';

export interface SketchOptions extends RoutineOptions {
  /** Default 1. */
  readonly seed?: number;
  /** Columns of the sketch beyond the rank; 10 by default (Halko, Martinsson and Tropp 2011, section 4.2). */
  readonly oversampling?: number;
}

/** An approximation of a matrix, and what is known of it without multiplying it out. */
export interface Sketched {
  readonly factors: SingularTriplets;
  readonly predicted: PredictedError;
  readonly cost: Pick<FactorizationCost, 'passes' | 'multiplyAdds'>;
}

/** Rounding of a share of the energy that is summed from values in f32, with a margin. */
const ROUNDING = 4e-6;

/**
 * The error of W' = P W Q with orthogonal projections P and Q, or of a truncated SVD of that: ||W - W'||^2 = ||W||^2 -
 * ||W'||^2, because W' is orthogonal to what is left out.
 * @param values The singular values of W', of entries with this energy
 */
export function errorFromNorms(values: Float64Array, energy: number): PredictedError {
  if (energy === 0) return { error: 0, basis: 'norms', band: [0, 0] };
  const lost = 1 - values.reduce((sum, value) => sum + value * value, 0) / energy;
  const root = (share: number) => Math.sqrt(Math.max(0, share));
  return { error: root(lost), basis: 'norms', band: [root(lost - ROUNDING), root(lost + ROUNDING)] };
}

/** @throws RankscopeError 'wrong-use' for a rank outside 1 .. min(m, n) */
export function checkRank({ name, rows, cols }: { name: string; rows: number; cols: number }, rank: number): void {
  const most = Math.min(rows, cols);
  if (Number.isInteger(rank) && rank >= 1 && rank <= most) return;
  throw new RankscopeError('wrong-use', name, `rank ${rank} of a ${rows} x ${cols} matrix`, `Ask for 1 to ${most}`);
}

/** Columns of a sketch: the rank and some more, as far as the matrix has them. */
export function sketchWidth({ matrix: { rows, cols } }: LoadedMatrix, rank: number, oversampling = 10): number {
  return Math.min(rows, cols, rank + oversampling);
}

export function gaussian(scope: Scope, rows: number, cols: number, random: Random) {
  return scope.upload(rows, cols, (out) => {
    for (let i = 0; i < out.length; i++) out[i] = random.normal();
  });
}

/** Multiply-adds of a thin QR of a tall matrix with its Q. */
export const qrMultiplyAdds = (rows: number, cols: number) => 2 * rows * cols ** 2;
