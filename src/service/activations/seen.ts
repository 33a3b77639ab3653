import type { InputFactor } from '../../activations/statistics.ts';
import type { Backend, RoutineOptions } from '../../devices/backend.ts';
import { digestOf } from '../../files/digest.ts';
import type { ActivationFinding } from '../../model/findings.ts';
import type { StoredMatrix } from '../../model/storedMatrix.ts';
import { exactSpectrum } from '../../spectrum/exact.ts';
import { subProgress } from '../../spectrum/load.ts';
import { measures } from '../../spectrum/measures.ts';
import { withSeenRows } from '../../spectrum/seenRows.ts';
import { CACHE_VERSION, type CacheEntry } from '../cache/cache.ts';

/**
 * a of X X^T + a mean(diag(X X^T)) I, where fewer tokens than inputs were seen: enough that directions which the text
 * did not show count, too little to change those that it did.
 */
const SHRINKAGE = 0.01;

export function shrinkageOf({ kind, tokens, inputs }: InputFactor): number {
  return kind === 'full' && tokens !== null && tokens < inputs ? SHRINKAGE : 0;
}

/** Identifies a result by the matrix and the statistics, both as they were. */
export function seenKey(matrix: StoredMatrix, factor: InputFactor, engine: string): string {
  return digestOf([CACHE_VERSION, 'activations', matrix.identity(), factor.identity(), shrinkageOf(factor), engine]);
}

/** All singular values of W R^T, and their measures. Noise of entries has no meaning here; it is taken to be zero. */
export async function computeSeen(
  backend: Backend,
  matrix: StoredMatrix,
  factor: InputFactor,
  options: RoutineOptions,
): Promise<CacheEntry> {
  const started = performance.now();
  const source = matrix.source();
  const { singularValues } = await withSeenRows(
    backend,
    { source, transposed: matrix.transposed },
    { ...factor, shrinkage: shrinkageOf(factor) },
    subProgress(options, 0, 0.3),
    (rows) => exactSpectrum(backend, rows, subProgress(options, 0.3, 1)),
  );
  const seconds = (performance.now() - started) / 1000;
  return { measures: measures(singularValues, matrix.shape, 0), seconds, singularValues };
}

export function activationFinding(
  { measures: measured, seconds, singularValues }: CacheEntry,
  factor: InputFactor,
  values: boolean,
): ActivationFinding {
  const { frobeniusNorm, spectralNorm, effectiveRank, effectiveRankEnergy, stableRank } = measured;
  const { participationRatio, numericalRank, energyRanks } = measured;
  return {
    energyRanks,
    effectiveRank,
    effectiveRankEnergy,
    stableRank,
    participationRatio,
    numericalRank,
    frobeniusNorm,
    spectralNorm,
    kind: factor.kind,
    tokens: factor.tokens,
    shrinkage: shrinkageOf(factor),
    seconds,
    ...(values ? { singularValues: Array.from(singularValues) } : {}),
  };
}
