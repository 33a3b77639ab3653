import { ranges, type Team } from '../team.ts';
import { transposeTasks } from './panel.ts';
import type { Block } from './product.ts';

/** A tall matrix is worth a QR first from this height on: the square rest is then reduced from both sides. */
const TALL = 1.6;

export const isTall = (m: number, n: number): boolean => m >= TALL * n && m > n + 8;

/** The largest magnitude in a packed m x n matrix, for all threads alike. `room`: one f64 for each thread. */
export function largestEntry(team: Team, count: number, at: number, room: number): number {
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
 * Multiplies by a power of two, exactly, so that the largest magnitude is in [0.5, 1): squares can then neither overflow nor vanish.
 * @returns what the singular values are to be multiplied with; 0 for a matrix of zeros; NaN where an entry is not finite
 */
export function normalize(team: Team, count: number, at: number, room: number): number {
  let largest = largestEntry(team, count, at, room);
  if (!Number.isFinite(largest)) return Number.NaN;
  let scale = 1;
  // Twice for denormal numbers, whose inverse is beyond f32.
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
