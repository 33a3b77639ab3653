import type { Arena, Team } from '../team.ts';
import type { Block } from './product.ts';

export interface ChaseRoom {
  readonly n: number;
  readonly bandwidth: number;
  readonly stride: number;
  readonly band: number;
  readonly progress: number;
  /** Each thread's buffer for the reflectors of one step. */
  readonly scratch: readonly number[];
  /** All reflectors, if vectors are wanted. */
  readonly kept: KeptReflectors | undefined;
}

/** The reflectors of all sweeps, in the layout of `kernels/chase.ts`. */
export interface KeptReflectors {
  readonly right: number;
  readonly left: number;
  readonly width: number;
  readonly taus: number;
  readonly steps: number;
}

/** Sweeps between two barriers, at which progress is reported and what is left of the band is divided anew. */
const SLICE = 128;
/** Steps in a thread's stretch of the band below which threads would mostly wait for each other. */
const STRETCH = 6;

export function chaseRoom(arena: Arena, n: number, bandwidth: number, threads: number, keep: boolean): ChaseRoom {
  const stride = 3 * bandwidth;
  const width = n + bandwidth + 16;
  const steps = Math.max(1, Math.floor((n - 2) / bandwidth) + 1);
  return {
    n,
    bandwidth,
    stride,
    band: arena.floats((n + bandwidth) * stride),
    progress: arena.floats((threads + 1) * 16),
    scratch: Array.from({ length: threads }, () => arena.floats(3 * (bandwidth + 16))),
    kept: keep
      ? {
          right: arena.floats(n * width),
          left: arena.floats(n * width),
          width,
          taus: arena.floats(2 * n * steps),
          steps,
        }
      : undefined,
  };
}

/** Copies the upper band of `a` into the band storage of `kernels/chase.ts`. */
export function storeBand(team: Team, { n, bandwidth, stride, band }: ChaseRoom, a: Block): void {
  const { kernels } = team;
  team.lead(() => {
    kernels.clear(n + bandwidth, stride, band, stride);
    for (let i = 0; i < n; i++) {
      const length = Math.min(bandwidth + 1, n - i);
      kernels.copy(1, length, a.at + i * (a.ld + 1) * 4, 0, band + (i * stride + bandwidth) * 4, 0);
    }
  });
}

/** Reduces the band to upper bidiagonal form; returns its diagonal and superdiagonal. */
export function chaseBulges(team: Team, room: ChaseRoom, progress: (share: number) => void) {
  const { n, bandwidth, stride, band, scratch, kept } = room;
  const { kernels, threads } = team;
  for (let first = 0; first < n - 1; first += SLICE) {
    const last = Math.min(n - 1, first + SLICE);
    const workers = Math.max(1, Math.min(threads, Math.floor((n - first) / (STRETCH * bandwidth))));
    team.lead(() => kernels.clear(1, (threads + 1) * 16, room.progress, 0));
    kernels.chase(
      band,
      stride,
      bandwidth,
      n,
      first,
      last,
      room.progress,
      kept?.right ?? 0,
      kept ? kept.left - kept.right : 0,
      kept?.taus ?? 0,
      scratch[team.id]!,
      team.sync,
      team.id,
      workers,
    );
    team.barrier();
    progress(1 - ((n - last) / n) ** 2);
  }
  const values = team.floats(band, n * stride);
  return {
    diagonal: Float64Array.from({ length: n }, (_, i) => values[i * stride + bandwidth]!),
    superdiagonal: Float64Array.from({ length: Math.max(0, n - 1) }, (_, i) => values[i * stride + bandwidth + 1]!),
  };
}
