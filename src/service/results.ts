import type { Backend, RoutineOptions, RowSource } from '../engine/backend.ts';
import type { MatrixRef } from '../model/anatomy.ts';
import type { MatrixFinding, Provenance } from '../model/findings.ts';
import { exactSpectrum } from '../spectrum/exact.ts';
import { measures } from '../spectrum/measures.ts';
import { previewSpectrum } from '../spectrum/preview.ts';
import type { CacheEntry } from './cache.ts';

/** Computes one matrix: all singular values, or an estimate of the measures with its band. */
export async function compute(
  backend: Backend,
  matrix: MatrixRef,
  source: RowSource & { readonly seconds?: number },
  provenance: Provenance,
  options: RoutineOptions,
): Promise<CacheEntry> {
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000 + (source.seconds ?? 0);
  if (provenance === 'preview') {
    const { measures: estimated, band } = await previewSpectrum(backend, source, options);
    return { measures: estimated, band, seconds: seconds(), singularValues: new Float64Array(0) };
  }
  const { singularValues, entries } = await exactSpectrum(backend, source, options);
  return {
    measures: measures(singularValues, matrix.shape, entries.noiseDeviation),
    seconds: seconds(),
    singularValues,
  };
}

export function findingOf(
  { name, shape, tensor, layer, module }: MatrixRef,
  { measures: measured, band, seconds, singularValues }: CacheEntry,
  provenance: Provenance,
  values: boolean,
): MatrixFinding {
  return {
    name,
    shape,
    dtype: tensor.dtype,
    layer,
    module,
    provenance,
    seconds,
    ...measured,
    ...(band ? { band } : {}),
    ...(values && provenance === 'exact' ? { singularValues: Array.from(singularValues) } : {}),
  };
}
