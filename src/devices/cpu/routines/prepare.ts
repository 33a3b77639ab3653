import { TALL } from '../../backend.ts';
import { ranges, type Team } from '../team.ts';
import { transposeTasks } from './panel.ts';
import type { Block } from './product.ts';

/** Whether an m x n matrix, m >= n, is worth a QR first. */
export const isTall = (m: number, n: number): boolean => m >= TALL * n && m > n + 8;

/** The largest magnitude of `count` numbers, on every thread. `room` holds one f64 per thread. */
function largestEntry(team: Team, count: number, at: number, room: number): number {
  const board = team.doubles(room, team.threads);
  board[team.id] = 0;
  let best = 0;
  team.perform(
    ranges(count, 2 ** 20, 16).map(({ from, to }) => () => {
      const found = team.kernels.largest(to - from, at + from * 4);
      best = Math.max(best, Number.isNaN(found) ? Number.POSITIVE_INFINITY : found);
      board[team.id] = best;
    }),
  );
  const largest = Math.max(...board);
  team.barrier();
  return largest;
}

/**
 * Scales by a power of two, which is exact, so that the largest magnitude is in [0.5, 1) and squares neither overflow
 * nor vanish.
 * @returns the factor that undoes it in the singular values; 0 for a zero matrix; NaN if an entry is not finite
 */
export function normalize(team: Team, count: number, at: number, room: number): number {
  let largest = largestEntry(team, count, at, room);
  if (!Number.isFinite(largest)) return Number.NaN;
  let scale = 1;
  // Subnormal numbers take two passes, because their inverse exceeds f32.
  while (largest > 0 && (largest >= 1 || largest < 0.5)) {
    const exponent = Math.max(-126, Math.min(126, -(Math.floor(Math.log2(largest)) + 1)));
    const factor = 2 ** exponent;
    team.perform(
      ranges(count, 2 ** 20, 16).map(
        ({ from, to }) =>
          () =>
            team.kernels.multiplyBy(to - from, factor, at + from * 4),
      ),
    );
    scale /= factor;
    largest *= factor;
  }
  return largest === 0 ? 0 : scale;
}

/** out (n x m) = a^T. */
export function transposeAll(team: Team, m: number, n: number, a: Block, out: Block): void {
  team.perform(transposeTasks(team, m, n, a, out));
}
