import type { DeviceRequest } from '../../base/deviceInfo.ts';
import { concernsOneMatrix } from '../../base/errors.ts';
import type { RoutineOptions } from '../../devices/backend.ts';
import { digestOf } from '../../files/digest.ts';
import type { PossibleGroup, SharingFamily } from '../../model/sharing/possibleGroups.ts';
import type { SharedCurve, SharedSpectra } from '../../model/sharing/selectShared.ts';
import type { StoredMatrix } from '../../model/storedMatrix.ts';
import { exactSpectrum } from '../../spectrum/exact.ts';
import { measures } from '../../spectrum/measures.ts';
import { stackedRows } from '../../spectrum/stackedRows.ts';
import type { SpectraParts } from '../analysis/spectra.ts';
import { CACHE_VERSION } from '../cache/cache.ts';

/** A matrix that may share its factor A, with its Frobenius norm. */
export interface NormedMatrix {
  readonly matrix: StoredMatrix;
  readonly norm: number;
}

/**
 * The spectra of all groups of the families, from the cache or computed and cached. A group that the device cannot hold
 * has none, and is then not chosen.
 * @param progress receives the number of groups done and the name of the current one.
 */
export async function sharedSpectra(
  parts: SpectraParts,
  families: readonly SharingFamily[],
  matrices: readonly NormedMatrix[],
  engine: DeviceRequest,
  {
    signal,
    progress,
  }: { readonly signal?: AbortSignal | undefined; readonly progress?: (done: number, name: string) => void },
): Promise<SharedSpectra[]> {
  const byName = new Map(matrices.map((each) => [each.matrix.name, each]));
  const found: SharedSpectra[] = [];
  let done = 0;
  for (const family of families) {
    const spectra = new Map<string, SharedCurve>();
    for (const group of family.groups) {
      progress?.(done++, group.name);
      const members = group.members.map((name) => byName.get(name)!);
      try {
        const singularValues = await spectrumOfGroup(parts, group, members, engine, { signal });
        spectra.set(group.name, { singularValues });
      } catch (error) {
        if (!concernsOneMatrix(error)) throw error;
      }
    }
    found.push({ ...family, spectra });
  }
  return found;
}

async function spectrumOfGroup(
  { devices, cache }: SpectraParts,
  { name }: PossibleGroup,
  members: readonly NormedMatrix[],
  engine: DeviceRequest,
  options: RoutineOptions,
): Promise<Float64Array> {
  return devices.hold(engine, options.signal, async (info) => {
    const known = await cache.get(keyOf(members, info.name));
    if (known) return known.singularValues;
    return devices.run(engine, name, options, async (backend) => {
      const started = performance.now();
      const stack = members.map(({ matrix, norm }) => {
        const [m, n] = matrix.shape;
        return { source: matrix.source(), scale: Math.sqrt(m * n) / norm };
      });
      const { transposed } = members[0]!.matrix;
      const rows = stackedRows(name, stack, transposed);
      const { singularValues } = await exactSpectrum(backend, rows, options);
      await cache.put(keyOf(members, backend.info.name), {
        measures: measures(singularValues, [rows.rows, rows.cols], 0),
        seconds: (performance.now() - started) / 1000,
        singularValues,
      });
      return singularValues;
    });
  });
}

/** Identifies the result by the matrices as they were. */
function keyOf(members: readonly NormedMatrix[], engine: string): string {
  return digestOf([CACHE_VERSION, 'shared', members.map(({ matrix }) => matrix.identity()), engine]);
}
