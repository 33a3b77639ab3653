import type { Checkpoint } from '../../../checkpoint/checkpoint.ts';
import { digestOf } from '../../../files/digest.ts';
import type { Sensitivities, Sensitivity } from '../../../model/plan/sensitivities.ts';
import { digestOfWindows } from '../../../network/windows.ts';
import { CACHE_VERSION, type Cache, type Cached } from '../../cache/cache.ts';

/** Those of a large model take tens of megabytes. */
const KEPT = 4;

/** What was measured, in the form of the cache on disk: all singular values one after the other. */
export interface MeasuredEntry extends Cached {
  readonly sensitivities: Omit<Sensitivities, 'matrices'>;
  readonly matrices: readonly (Omit<Sensitivity, 'singularValues'> & { readonly values: number })[];
  /** Null for no limit. */
  readonly minutes: number | null;
}

interface Measured {
  readonly sensitivities: Sensitivities;
  /** What measuring was allowed to take; undefined for no limit. */
  readonly minutes: number | undefined;
}

/**
 * What was measured for plans, so that another budget costs nothing: the last few in memory, by names that are quick to
 * compare, and on the disk by all that a measurement depends on, whatever the device.
 */
export class KnownSensitivities {
  private readonly recent = new Map<string, Measured>();

  constructor(private readonly disk: Cache<MeasuredEntry>) {}

  /** Divergences that were filled in for want of time serve only those who allow no more of it. */
  get(name: string, minutes: number | undefined): Sensitivities | undefined {
    const known = this.recent.get(name);
    return known && serves(known, minutes) ? known.sensitivities : undefined;
  }

  put(name: string, sensitivities: Sensitivities, minutes: number | undefined): void {
    this.recent.delete(name);
    this.recent.set(name, { sensitivities, minutes });
    for (const oldest of this.recent.keys()) {
      if (this.recent.size <= KEPT) break;
      this.recent.delete(oldest);
    }
  }

  /** As `get`, of what any process measured; by `measurementKey`. */
  async find(key: string, minutes: number | undefined): Promise<Sensitivities | undefined> {
    const entry = await this.disk.get(key);
    const known = entry && unpacked(entry);
    return known && serves(known, minutes) ? known.sensitivities : undefined;
  }

  keep(key: string, sensitivities: Sensitivities, minutes: number | undefined): Promise<void> {
    return this.disk.put(key, packed({ sensitivities, minutes }));
  }

  /** Forgets what is in memory; whoever owns the folder clears the disk. */
  clear(): void {
    this.recent.clear();
  }
}

/**
 * Identifies a measurement on a text: by the checkpoint's files as they are and its configuration, and by the name of
 * the text, its ids, and where its windows begin.
 * @param statistics the file of statistics that stood in for the text's, as it is
 */
export function measurementKey(
  { files, configuration }: Pick<Checkpoint, 'files' | 'configuration'>,
  { name, windows }: { readonly name: string; readonly windows: readonly Int32Array[] },
  statistics: unknown = null,
): string {
  const identity = files.map(({ path, size, mtimeMs }) => [path, size, mtimeMs]);
  const text = [name, digestOfWindows(windows)];
  return digestOf([CACHE_VERSION, 'sensitivities', identity, configuration ?? null, text, statistics]);
}

function serves({ sensitivities, minutes: before = Number.POSITIVE_INFINITY }: Measured, minutes: number | undefined) {
  const isWhole = (sensitivities.divergences?.filledIn ?? 0) === 0;
  return isWhole || (minutes ?? Number.POSITIVE_INFINITY) <= before;
}

function packed({ sensitivities: { matrices, ...rest }, minutes }: Measured): MeasuredEntry {
  return {
    sensitivities: rest,
    matrices: matrices.map(({ singularValues, ...own }) => ({ ...own, values: singularValues.length })),
    minutes: minutes ?? null,
    singularValues: Float64Array.from(matrices.flatMap(({ singularValues }) => singularValues)),
  };
}

function unpacked({ sensitivities, matrices, minutes, singularValues }: MeasuredEntry): Measured {
  let from = 0;
  return {
    minutes: minutes ?? undefined,
    sensitivities: {
      ...sensitivities,
      matrices: matrices.map(({ values, ...own }) => {
        from += values;
        return { ...own, singularValues: [...singularValues.subarray(from - values, from)] };
      }),
    },
  };
}
