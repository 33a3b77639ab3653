import type { InputFactor } from '../../activations/statistics.ts';
import { digestOf } from '../../files/digest.ts';
import type { PredictedError, ResidualSpectrum, TrialMethod, TrialResult } from '../../model/trial.ts';
import { sumOfSquares } from '../../spectrum/eachSlab.ts';
import { previewSpectrum } from '../../spectrum/preview.ts';
import { downloadedRows, type StoredFactors, uploadedRows, withProductRows } from '../../spectrum/productRows.ts';
import { withSeenRows } from '../../spectrum/seenRows.ts';
import { transposeOf } from '../../spectrum/transpose.ts';
import { shrinkageOf } from '../activations/seen.ts';
import { factorKey, type OnDevice } from './factorizations.ts';
import type { TriedFactors } from './trialStore.ts';

/** All singular values of W, or of W X. */
export interface KnownSpectrum {
  readonly values: Float64Array;
  readonly norm: number;
}

export interface KnownSpectra extends KnownSpectrum {
  /** With statistics of the matrix's inputs. */
  readonly seen?: KnownSpectrum & { readonly factor: InputFactor };
}

/** The least relative error of a rank: the tail of the values (Eckart and Young). */
export function leastError({ values, norm }: KnownSpectrum, rank: number): number {
  return norm === 0 ? 0 : Math.sqrt(values.subarray(rank).reduce((sum, value) => sum + value * value, 0)) / norm;
}

/**
 * The errors of factors, measured: W is read again, and the rows of W - B A give the error, what the activations see of
 * it, and its spectrum. From the store if they were measured before.
 */
export async function measureFactors(
  trial: OnDevice,
  spectra: KnownSpectra,
  method: TrialMethod,
  rank: number,
  found: TriedFactors,
): Promise<Omit<TrialResult, 'method'>> {
  const { matrix, backend, store, signal, step, letUrgent } = trial;
  const { seen, norm } = spectra;
  const key = digestOf([factorKey(trial, method, rank), rank, seen?.factor.identity() ?? null]);
  const known = store.result(key);
  if (known) return known;
  await letUrgent();
  step(`residual of ${method}, rank ${rank}`);
  const source = matrix.source();
  const share = (lost: number, whole: number) => (whole === 0 ? 0 : lost / whole);
  const result = await withProductRows(backend, source, storedFactors(found), uploadedRows(source), async (rows) => {
    const residual = downloadedRows(backend, rows);
    const onActivations = seen && {
      onActivations: share(Math.sqrt(await seenSquares(trial, residual, seen.factor)), seen.norm),
    };
    if (method === 'exact')
      return {
        error: share(Math.sqrt(await sumOfSquares(residual, signal)), norm),
        residual: tailOf(spectra.values, rank),
        ...onActivations,
      };
    const { measures, band, singularValues } = await previewSpectrum(backend, residual, { signal });
    const isExact = band.effectiveRank[0] === band.effectiveRank[1];
    return {
      error: share(measures.frobeniusNorm, norm),
      residual: {
        spectralNorm: measures.stableRank > 0 ? measures.frobeniusNorm / Math.sqrt(measures.stableRank) : 0,
        stableRank: measures.stableRank,
        provenance: isExact ? ('exact' as const) : ('preview' as const),
        values: Array.from(singularValues),
      },
      ...onActivations,
    };
  });
  const measured = {
    predicted: found.predicted ?? fromSpectrum(spectra, rank, matrix.shape),
    cost: found.cost,
    ...result,
  };
  store.putResult(key, measured);
  return measured;
}

/** The factors with the values in the left one. */
export function storedFactors({ triplets: { left, values, right } }: TriedFactors): StoredFactors {
  const rank = values.length;
  return { left: left.map((entry, at) => entry * values[at % rank]!), right: transposeOf(right, rank) };
}

/** ||(W - B A) X||_F^2 */
function seenSquares(
  { backend, matrix, signal }: OnDevice,
  source: ReturnType<typeof downloadedRows>,
  factor: InputFactor,
): Promise<number> {
  const { transposed } = matrix;
  const seenBy = { ...factor, shrinkage: shrinkageOf(factor) };
  return withSeenRows(backend, { source, transposed }, seenBy, { signal }, (rows) => sumOfSquares(rows, signal));
}

/** The residual of an exact truncation has the values that it leaves out. */
function tailOf(values: Float64Array, rank: number): ResidualSpectrum {
  const tail = new Float64Array(values.length);
  tail.set(values.subarray(rank));
  const largest = tail[0] ?? 0;
  const squares = tail.reduce((sum, value) => sum + value * value, 0);
  return {
    spectralNorm: largest,
    stableRank: largest === 0 ? 0 : squares / largest ** 2,
    provenance: 'exact',
    values: Array.from(tail),
  };
}

/** Each value is known to within 2 eps sqrt(max(m, n)) sigma_1 (see the tests of devices). */
function fromSpectrum(spectrum: KnownSpectrum, rank: number, shape: readonly [number, number]): PredictedError {
  const { values, norm } = spectrum;
  const error = leastError(spectrum, rank);
  const each = 2 ** -22 * Math.sqrt(Math.max(...shape)) * (values[0] ?? 0);
  // The factors of the exact route are as accurate as the values, so that even a full rank leaves something.
  const off = norm === 0 ? 0 : (each * Math.sqrt(values.length)) / norm;
  return { error, basis: 'spectrum', band: [Math.max(0, error - off), error + off] };
}
