// What one thread reaches with a library alone.
import { performance } from 'node:perf_hooks';
import { pieceDepth, pieceWidth } from './inPlace.ts';
import type { Sgemm } from './sgemm.ts';

/** Rows of a product that has few of them. */
const FEW = 32;
/** The best of several counts, because other programs take their share. */
const RUNS = 10;
/** By so much pieces must be faster. */
const PAYS = 1.1;

/** Bytes of memory that the trial takes. */
export const aloneBytes = (side: number): number => 3 * side * side * 4;

/**
 * Seconds for a side x side product, and whether the library computes one with few rows faster in small pieces.
 * @param at address of `aloneBytes` of memory
 */
export function timeAlone(sgemm: Sgemm, at: number, side: number): { alone: number; multipliesInPlace: boolean } {
  const [b, c] = [at + side * side * 4, at + 2 * side * side * 4];
  const square = () => sgemm(side, side, side, 1, at, side, false, b, side, false, 0, c, side);
  const piece = (row: number, depth: number, col: number, width: number) => {
    const [left, right] = [at + row * FEW * 4, b + (row * side + col) * 4];
    sgemm(FEW, width, depth, 1, left, FEW, true, right, side, false, row === 0 ? 0 : 1, c + col * 4, side);
  };
  const whole = () => piece(0, side, 0, side);
  const inPieces = () => {
    for (let col = 0; col < side; col += pieceWidth(FEW))
      for (let row = 0; row < side; row += pieceDepth(FEW))
        piece(row, Math.min(pieceDepth(FEW), side - row), col, Math.min(pieceWidth(FEW), side - col));
  };
  return { alone: best(square), multipliesInPlace: best(inPieces) * PAYS < best(whole) };
}

/** Seconds, after a run that warms up; less often if that takes long. */
function best(work: () => void): number {
  let least = timed(work);
  const runs = least > 0.05 ? 1 : RUNS;
  for (let run = 0; run < runs; run++) least = Math.min(least, timed(work));
  return least;
}

function timed(work: () => void): number {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1000;
}
