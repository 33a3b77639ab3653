import type { TrialRegion } from '../../../src/model/trial.ts';

/** No region is smaller than this on a side: single entries are large then. */
const LEAST = 8;

/** A region of half the sides, or of twice them, around a point that is given in shares of the region. */
export function zoomed(
  region: TrialRegion,
  [m, n]: readonly [number, number],
  factor: number,
  [x, y]: readonly [number, number] = [0.5, 0.5],
): TrialRegion {
  const side = (from: number, count: number, length: number, share: number) => {
    const size = Math.min(length, Math.max(Math.min(LEAST, length), Math.round(count * factor)));
    const start = Math.round(from + share * count - size / 2);
    return [Math.max(0, Math.min(length - size, start)), size] as const;
  };
  const [row, rows] = side(region.row, region.rows, m, y);
  const [col, cols] = side(region.col, region.cols, n, x);
  return { row, col, rows, cols };
}

/** The region moved by shares of its sides, inside the matrix. */
export function moved(
  region: TrialRegion,
  [m, n]: readonly [number, number],
  [right, down]: readonly [number, number],
): TrialRegion {
  return zoomed(region, [m, n], 1, [0.5 + right, 0.5 + down]);
}

export function isSameRegion(one: TrialRegion, other: TrialRegion): boolean {
  return one.row === other.row && one.col === other.col && one.rows === other.rows && one.cols === other.cols;
}
