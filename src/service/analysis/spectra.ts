import type { InputFactor } from '../../activations/statistics.ts';
import type { DeviceRequest } from '../../base/deviceInfo.ts';
import { concernsOneMatrix, RankscopeError } from '../../base/errors.ts';
import { mapSideBySide } from '../../base/sideBySide.ts';
import { isStored, type Matrix } from '../../model/matrix.ts';
import type { StoredMatrix } from '../../model/storedMatrix.ts';
import type { CallContext, Calls, Spectrum, StepProgress } from '../../protocol/service.ts';
import { activationFinding, computeSeen, seenKey } from '../activations/seen.ts';
import { withActivations } from '../activations/withActivations.ts';
import type { Cache, CacheEntry } from '../cache/cache.ts';
import { cacheKey } from '../cache/cacheKey.ts';
import { distinctMatrices, type Opened, refuseChanged } from '../checkpoints/opened.ts';
import { type Devices, fitsLane, type JobOptions } from '../devices/devices.ts';
import { withQuantization } from './quantization.ts';
import { compute } from './results.ts';

export interface SpectraParts {
  readonly devices: Devices;
  readonly cache: Cache;
}

/** The exact result of one matrix, from the cache or computed and cached. */
export async function exactResult(
  { devices, cache }: SpectraParts,
  matrix: Matrix,
  engine: DeviceRequest,
  options: JobOptions,
): Promise<CacheEntry> {
  return devices.hold(engine, options.signal, async ({ name }) => {
    const known = await cache.get(cacheKey(matrix, name, 'exact'));
    if (known) return known;
    return devices.run(engine, matrix.name, options, async (backend) => {
      const key = cacheKey(matrix, backend.info.name, 'exact');
      // An analysis may have computed it while this call waited for its turn.
      const meanwhile = await cache.get(key);
      if (meanwhile) return meanwhile;
      const { signal } = options;
      const computed = await compute(backend, matrix, matrix.source(), 'exact', { signal });
      const entry = await withQuantization(matrix, computed, signal);
      await cache.put(key, entry);
      return entry;
    });
  });
}

/** All singular values of one matrix, and with a file of statistics those of W X; computed before anything else. */
export async function spectrum(
  parts: SpectraParts,
  opened: Opened,
  { name, activations: file }: Calls['spectrum']['params'],
  { signal }: CallContext<StepProgress>,
): Promise<Spectrum> {
  const matrix = matrixNamed(opened, name);
  const engine = parts.devices.settle();
  const options = { signal, urgent: true };
  return withActivations(opened, file, signal, async (activations) => {
    const { singularValues } = await exactResult(parts, matrix, engine, options);
    const factor = activations?.factors.get(matrix.name);
    const seen = factor && isStored(matrix) ? await exactSeen(parts, matrix, factor, engine, options) : null;
    await refuseChanged(opened.checkpoint);
    return {
      name,
      singularValues: Array.from(singularValues),
      ...(activations ? { activations: seen && activationFinding(seen, factor!, true) } : {}),
    };
  });
}

/** The spectrum of W X, from the cache or computed and cached; null where no token reached the matrix. */
export async function exactSeen(
  { devices, cache }: SpectraParts,
  matrix: StoredMatrix,
  factor: InputFactor,
  engine: DeviceRequest,
  options: JobOptions,
): Promise<CacheEntry | null> {
  if (factor.tokens === 0) return null;
  return devices.hold(engine, options.signal, async ({ name }) => {
    const known = await cache.get(seenKey(matrix, factor, name));
    if (known) return known;
    return devices.run(engine, matrix.name, options, async (backend) => {
      const entry = await computeSeen(backend, matrix, factor, { signal: options.signal });
      await cache.put(seenKey(matrix, factor, backend.info.name), entry);
      return entry;
    });
  });
}

/**
 * The exact results of `matrices`, in their order. A matrix that an analysis would skip (non-finite, too large,
 * unreadable) gives null, and `unusable` receives its error.
 */
export async function exactResults(
  parts: SpectraParts,
  matrices: readonly Matrix[],
  engine: DeviceRequest,
  context: {
    readonly signal?: AbortSignal | undefined;
    readonly progress?: ((step: StepProgress) => void) | undefined;
    readonly unusable: (matrix: Matrix, error: RankscopeError) => void;
  },
): Promise<(CacheEntry | null)[]> {
  const { signal, progress, unusable } = context;
  return parts.devices.hold(engine, signal, async (_, lanes) => {
    let done = 0;
    return mapSideBySide(lanes, matrices, async (matrix) => {
      progress?.({ done, total: matrices.length, message: matrix.name });
      try {
        return await exactResult(parts, matrix, engine, { signal, beside: fitsLane(matrix, lanes, 'values') });
      } catch (error) {
        if (!concernsOneMatrix(error)) throw error;
        unusable(matrix, error);
        return null;
      } finally {
        done++;
      }
    });
  });
}

/** The matrix called `name`, or for a tied tensor the matrix that represents its group. */
export function matrixNamed(opened: Opened, name: string): Matrix {
  const group = opened.ties().find((names) => names.includes(name));
  const matrix = distinctMatrices(opened).find((each) => each.name === name || each.tensorName === group?.[0]);
  if (matrix) return matrix;
  throw new RankscopeError(
    'wrong-use',
    name,
    `there is no such matrix in ${opened.checkpoint.path}`,
    'List the names with: rankscope info',
  );
}
