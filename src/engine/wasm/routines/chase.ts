import { SYNC } from '../memory.ts';
import type { Arena, Team } from '../team.ts';
import { WIDTH } from './panel.ts';
import type { Block } from './product.ts';

export interface ChaseRoom {
  readonly n: number;
  readonly band: number;
  /** Reflectors of one step. */
  readonly v: number;
}

const STRIDE = 3 * WIDTH;

export function chaseRoom(arena: Arena, n: number): ChaseRoom {
  return { n, band: arena.floats((n + WIDTH) * STRIDE), v: arena.floats(2 * (WIDTH + 16)) };
}

/** Copies the upper band of `a` into band storage, `kernels/chase.ts` says how. */
export function storeBand(team: Team, { n, band }: ChaseRoom, a: Block): void {
  team.lead(() => {
    team.kernels.clear(1, (n + WIDTH) * STRIDE, band, 0);
    for (let i = 0; i < n; i++) {
      const length = Math.min(WIDTH + 1, n - i);
      team.kernels.copy(1, length, a.at + i * (a.ld + 1) * 4, 0, band + (i * STRIDE + WIDTH) * 4, 0);
    }
  });
}

/** Band to upper bidiagonal, on the leader; gives diagonal and superdiagonal. */
export function chaseBulges(team: Team, { n, band, v }: ChaseRoom, progress: (share: number) => void) {
  team.lead(() => {
    const { kernels } = team;
    const left = v + (WIDTH + 8) * 4;
    const taus = left + (WIDTH + 8) * 4;
    for (let sweep = 0; sweep < n - 1; sweep++) {
      if (kernels.askedToStop(SYNC)) return;
      let next = sweep + 1;
      for (let step = 0; next < n; step++) next = kernels.chaseStep(band, STRIDE, WIDTH, sweep, step, v, left, taus);
      if (sweep % 64 === 0) progress(1 - ((n - sweep) / n) ** 2);
    }
  });
  const values = team.floats(band, n * STRIDE);
  return {
    diagonal: Float64Array.from({ length: n }, (_, i) => values[i * STRIDE + WIDTH]!),
    superdiagonal: Float64Array.from({ length: Math.max(0, n - 1) }, (_, i) => values[i * STRIDE + WIDTH + 1]!),
  };
}
