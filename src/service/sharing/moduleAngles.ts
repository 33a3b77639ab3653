import type { DeviceRequest } from '../../base/deviceInfo.ts';
import { concernsOneMatrix } from '../../base/errors.ts';
import { groupBy } from '../../base/groupBy.ts';
import type { ModuleAngles } from '../../model/sharing/sharing.ts';
import type { StoredMatrix } from '../../model/storedMatrix.ts';
import { principalAngles } from '../../spectrum/principalAngles.ts';
import type { Devices } from '../devices/devices.ts';
import { networkTriplets } from '../plan/networkTriplets.ts';

interface AngleOptions {
  /** Directions of each layer that are compared, at most a quarter of what it has. */
  readonly directions: number;
  readonly signal: AbortSignal | undefined;
  readonly progress: (done: number, total: number, name: string) => void;
}

/**
 * The principal angles between the inputs that the layers of each module read: the leading right singular vectors of
 * any two. A layer that cannot be decomposed is left out. The vectors of one module are in memory at a time.
 */
export async function moduleAngles(
  devices: Devices,
  engine: DeviceRequest,
  matrices: readonly StoredMatrix[],
  { directions, signal, progress }: AngleOptions,
): Promise<ModuleAngles[]> {
  const inLayers = matrices.filter(({ layer, expert }) => layer !== null && expert === null);
  const modules = groupBy(inLayers, ({ stack, module, shape }) => JSON.stringify([stack, module, shape]));
  const several = [...modules.values()].filter(({ length }) => length > 1);
  const total = several.reduce((sum, { length }) => sum + length, 0);
  let done = 0;
  const found: ModuleAngles[] = [];
  for (const members of several) {
    const { stack, module, shape } = members[0]!;
    const k = Math.max(1, Math.min(directions, Math.floor(Math.min(...shape) / 4)));
    const layers: number[] = [];
    const spaces: Float32Array[] = [];
    for (const matrix of [...members].sort((a, b) => a.layer! - b.layer!)) {
      progress(done++, total, matrix.name);
      try {
        const { right } = await devices.run(engine, matrix.name, { signal }, (backend) =>
          networkTriplets(backend, matrix, k, signal),
        );
        layers.push(matrix.layer!);
        spaces.push(right);
      } catch (error) {
        if (!concernsOneMatrix(error)) throw error;
      }
    }
    if (spaces.length < 2) continue;
    const pairs = await devices.run(engine, module, { signal }, (backend) =>
      principalAngles(backend, module, spaces, k, { signal }),
    );
    found.push({
      ...(stack === undefined ? {} : { stack }),
      module,
      layers,
      directions: k,
      inputs: shape[1],
      pairs: pairs.map(({ first, second, cosines }) => ({
        first: layers[first]!,
        second: layers[second]!,
        overlap: cosines.reduce((sum, cosine) => sum + cosine * cosine, 0) / k,
        cosines,
      })),
    });
  }
  return found;
}
