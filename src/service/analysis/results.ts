import type { Update } from '../../adapters/update.ts';
import type { Backend, RoutineOptions } from '../../devices/backend.ts';
import type { AdapterFinding, MatrixFinding, Measures, Provenance } from '../../model/findings.ts';
import type { Matrix } from '../../model/matrix.ts';
import type { MatrixRows } from '../../model/matrixBase.ts';
import { placeOf } from '../../model/place.ts';
import { exactSpectrum } from '../../spectrum/exact.ts';
import { measures } from '../../spectrum/measures.ts';
import { previewSpectrum } from '../../spectrum/preview.ts';
import type { CacheEntry } from '../cache/cache.ts';
import type { Accuracy } from './sweeps.ts';

/**
 * Computes one matrix: all singular values, or an estimate of the measures with its band. An adapter's update is always
 * `exact`: its at most r nonzero values cost less than an estimate. The result holds only these, while the measures
 * also count the zeros. Such a product has no bulk of entries that could be noise, so its noise deviation is 0.
 */
export async function compute(
  backend: Backend,
  matrix: Matrix,
  source: MatrixRows & { readonly seconds?: number },
  accuracy: Accuracy,
  options: RoutineOptions,
): Promise<CacheEntry> {
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000 + (source.seconds ?? 0);
  if (accuracy !== 'exact') {
    const coarse = accuracy === 'coarse';
    const { measures: estimated, band } = await previewSpectrum(backend, source, { ...options, coarse });
    return { measures: estimated, band, seconds: seconds(), singularValues: new Float64Array(0) };
  }
  const { singularValues, entries } = await exactSpectrum(backend, source, options);
  if (matrix.kind === 'update') {
    const all = new Float64Array(Math.min(...matrix.shape));
    const own = await spreadOut(singularValues, source, options.signal);
    all.set(own.subarray(0, all.length));
    return {
      measures: measures(all, matrix.shape, 0),
      seconds: seconds(),
      singularValues: all.slice(0, own.length),
    };
  }
  return {
    measures: measures(singularValues, matrix.shape, entries.noiseDeviation),
    seconds: seconds(),
    singularValues,
  };
}

/**
 * The singular values of a Kronecker product are the products of those of its factors (Van Loan, "The ubiquitous
 * Kronecker product", 2000).
 */
async function spreadOut(values: Float64Array, { spread }: MatrixRows, signal: AbortSignal | undefined) {
  if (!spread) return values;
  const others = await spread(signal);
  const products = new Float64Array(values.length * others.length);
  for (const [k, other] of others.entries())
    for (const [i, value] of values.entries()) products[k * values.length + i] = other * value;
  return products.sort().reverse();
}

export function findingOf(
  matrix: Matrix,
  { measures: measured, band, quantization, seconds, singularValues }: CacheEntry,
  provenance: Provenance,
  values: boolean,
): MatrixFinding {
  const { name, shape, dtype, expert } = matrix;
  return {
    name,
    shape,
    dtype,
    ...placeOf(matrix),
    ...(expert === null ? {} : { expert }),
    provenance,
    seconds,
    ...measured,
    ...quantization,
    ...(band ? { band } : {}),
    ...(matrix.kind === 'update' ? { adapter: adapterFinding(matrix.update, measured) } : {}),
    ...(values && provenance === 'exact' ? { singularValues: Array.from(singularValues) } : {}),
  };
}

/** In practice all singular values are zero only if a factor is zero: training has not begun, or died. */
function adapterFinding({ rank, scale, dora, adapter, stored }: Update, { spectralNorm }: Measures): AdapterFinding {
  return {
    rank,
    scale,
    dead: spectralNorm === 0,
    ...(dora ? { dora } : {}),
    ...(adapter === undefined ? {} : { name: adapter }),
    ...(stored.kind === 'lora' ? {} : { kind: stored.kind === 'computed' ? stored.method : stored.kind }),
  };
}
