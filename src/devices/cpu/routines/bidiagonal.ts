// The last step of a decomposition whose other steps run on another device.
import type { SingularTriplets } from '../../../base/singularTriplets.ts';
import { leadingTriplets } from '../bidiagonalTriplets.ts';
import { dqdsValues } from '../dqds.ts';
import { Arena, type Team } from '../team.ts';
import { storeVectors, vectorRooms } from './bidiagonalVectors.ts';
import { block } from './product.ts';
import { areDoubtful } from './svd.ts';

/** An upper bidiagonal matrix of n rows. */
export interface Bidiagonal {
  /** n numbers. */
  readonly diagonal: Float64Array;
  /** n - 1 numbers. */
  readonly superdiagonal: Float64Array;
}

export interface BidiagonalTripletsArgs extends Bidiagonal {
  readonly rank: number;
  /** `bidiagonalTripletsRoom` bytes. */
  readonly room: number;
}

/** `doubtful` vectors may be less orthogonal than f32 resolves, or missing and left zero. */
export interface BidiagonalTriplets extends SingularTriplets {
  readonly doubtful: boolean;
}

/** All singular values, descending, on the leader. */
export const bidiagonalValues = (team: Team, { diagonal, superdiagonal }: Bidiagonal): Float64Array =>
  team.id === 0 ? dqdsValues(diagonal, superdiagonal) : new Float64Array(0);

const layout = (n: number, rank: number, threads: number, base: number) => {
  const arena = new Arena(base);
  return {
    tall: block(arena.floats(n * rank), rank),
    flat: block(arena.floats(n * rank), rank),
    vectors: vectorRooms(arena, n, threads),
    end: arena.end,
  };
};

/** Bytes of workspace for the `rank` leading triplets of n rows. */
export const bidiagonalTripletsRoom = (n: number, rank: number, threads: number): number =>
  layout(n, rank, threads, 0).end;

/** The `rank` leading triplets, on the leader. */
export function bidiagonalTriplets(team: Team, args: BidiagonalTripletsArgs): BidiagonalTriplets {
  const { diagonal, superdiagonal, rank, room } = args;
  const n = diagonal.length;
  const { tall, flat, vectors } = layout(n, rank, team.threads, room);
  const triplets = leadingTriplets(diagonal, superdiagonal, rank);
  storeVectors(team, vectors, triplets, { m: n, n, tall, flat }, rank);
  const count = team.id === 0 ? n * rank : 0;
  return {
    left: team.floats(tall.at, count).slice(),
    values: Float64Array.from({ length: rank }, (_, k) => triplets[k]?.value ?? 0),
    right: team.floats(flat.at, count).slice(),
    doubtful: areDoubtful(triplets, rank),
  };
}
