import type { InputFactor } from '../../activations/statistics.ts';
import type { DeviceRequest } from '../../base/deviceInfo.ts';
import { breakEvenRank, factorParameters } from '../../base/shape.ts';
import { placeOf } from '../../model/place.ts';
import type { ProductCost, TrialMatrix, TrialRank, TrialResult } from '../../model/trial.ts';
import { exactResult, exactSeen, type SpectraParts } from '../analysis/spectra.ts';
import { factorize, type OnDevice } from './factorizations.ts';
import { type KnownSpectra, leastError, measureFactors } from './measureFactors.ts';
import type { TrialStore } from './trialStore.ts';

export interface TrialParts extends SpectraParts {
  readonly tried: TrialStore;
}

interface MatrixTrial extends Pick<OnDevice, 'matrix' | 'options' | 'signal' | 'step'> {
  /** Undefined if no statistics were asked for, null without those of this matrix. */
  readonly factor: InputFactor | null | undefined;
  readonly engine: DeviceRequest;
  /** Whether residuals carry their singular values. */
  readonly values: boolean;
}

/** What every method does to one matrix at every rank. */
export async function tryMatrix(parts: TrialParts, trial: MatrixTrial): Promise<TrialMatrix> {
  const { matrix, options, factor, engine, signal, step } = trial;
  const job = { signal, urgent: true };
  const [m, n] = matrix.shape;
  step('singular values');
  const { measures, singularValues } = await exactResult(parts, matrix, engine, job);
  const seen = factor ? await exactSeen(parts, matrix, factor, engine, job) : null;
  const spectra: KnownSpectra = {
    values: singularValues,
    norm: measures.frobeniusNorm,
    ...(factor && seen && { seen: { factor, values: seen.singularValues, norm: seen.measures.frobeniusNorm } }),
  };
  const asked = factor !== undefined;
  return parts.devices.run(engine, matrix.name, job, async (backend, letUrgent) => {
    const onDevice = { matrix, options, backend, store: parts.tried, signal, letUrgent, step };
    const found = await factorize(onDevice);
    const product = (rank?: number): ProductCost => {
      const parameters = rank === undefined ? m * n : factorParameters(m, n, rank);
      return { parameters, multiplyAdds: parameters, seconds: found.seconds(rank) };
    };
    const ranks: TrialRank[] = [];
    for (const rank of options.ranks) {
      const results: TrialResult[] = [];
      for (const method of options.methods) {
        const factors = found.factors(method, rank);
        const measured = await measureFactors(onDevice, spectra, method, rank, factors);
        results.push({ method, ...(asked && { onActivations: null }), ...shown(measured, trial.values) });
      }
      ranks.push({
        rank,
        pays: factorParameters(m, n, rank) < m * n,
        leastError: leastError(spectra, rank),
        ...(asked && { leastOnActivations: spectra.seen ? leastError(spectra.seen, rank) : null }),
        product: product(rank),
        results,
      });
    }
    return {
      name: matrix.name,
      ...placeOf(matrix),
      ...(matrix.expert === null ? {} : { expert: matrix.expert }),
      shape: matrix.shape,
      dtype: matrix.dtype,
      frobeniusNorm: measures.frobeniusNorm,
      spectralNorm: measures.spectralNorm,
      ...(asked && { normOnActivations: spectra.seen?.norm ?? null }),
      breakEvenRank: breakEvenRank(m, n),
      device: backend.info.device,
      product: product(),
      ranks,
    };
  });
}

function shown(result: Omit<TrialResult, 'method'>, withValues: boolean): Omit<TrialResult, 'method'> {
  if (withValues) return result;
  const { values: _values, ...residual } = result.residual;
  return { ...result, residual };
}
