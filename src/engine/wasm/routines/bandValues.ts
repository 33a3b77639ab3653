import { bidiagonalValues } from '../bidiagonal.ts';
import { Arena, type Team } from '../team.ts';
import { chaseBulges, chaseRoom, storeBand } from './chase.ts';
import { block } from './product.ts';

export interface BandValuesArgs {
  /** Of an n x n upper band matrix, element (i, i + d) at `at` + 4 (i (bandwidth + 1) + d). */
  readonly at: number;
  readonly n: number;
  readonly bandwidth: number;
  /** `bandValuesRoom` bytes. */
  readonly room: number;
}

const layout = (n: number, bandwidth: number, threads: number, base: number) => {
  const arena = new Arena(base);
  return { chase: chaseRoom(arena, n, bandwidth, threads, false), end: arena.end };
};

/** Bytes of workspace that `bandValues` of such a matrix takes. */
export const bandValuesRoom = (n: number, bandwidth: number, threads: number): number =>
  layout(n, bandwidth, threads, 0).end;

/** All singular values of a band that another device reduced a matrix to; the leader's result counts. */
export function bandValues(team: Team, { at, n, bandwidth, room }: BandValuesArgs): Float64Array {
  const { chase } = layout(n, bandwidth, team.threads, room);
  // Rows of bandwidth + 1 elements: one element on in the matrix is one row and one column on here.
  storeBand(team, chase, block(at, bandwidth));
  const { diagonal, superdiagonal } = chaseBulges(team, chase, team.report);
  return team.id === 0 ? bidiagonalValues(diagonal, superdiagonal) : new Float64Array(0);
}
