import type { Triplet } from '../bidiagonalTriplets.ts';
import type { Kernels } from '../kernels.ts';
import { type Arena, ranges, type Team } from '../team.ts';
import type { Block } from './product.ts';

/** Vectors that a thread computes before it writes them: a cache line of columns. */
const CHUNK = 16;

/** Where one thread computes vectors of n entries. */
export interface VectorRoom {
  /** The diagonal of a block, its superdiagonal and their ratios: n f64 each. */
  readonly diagonal: number;
  readonly superdiagonal: number;
  readonly ratios: number;
  readonly work: number;
  /** CHUNK vectors each. */
  readonly rights: number;
  readonly lefts: number;
}

export function vectorRooms(arena: Arena, n: number, threads: number): readonly VectorRoom[] {
  return Array.from({ length: threads }, () => ({
    diagonal: arena.doubles(n),
    superdiagonal: arena.doubles(n),
    ratios: arena.doubles(n),
    work: arena.doubles(9 * n),
    rights: arena.floats(CHUNK * n),
    lefts: arena.floats(CHUNK * n),
  }));
}

/**
 * Writes the vectors of the bidiagonal matrix as columns of `tall` (m x rank, zero below row n) and `flat` (n x rank).
 * Columns without a triplet become zero.
 */
export function storeVectors(
  team: Team,
  rooms: readonly VectorRoom[],
  triplets: readonly Triplet[],
  { m, n, tall, flat }: { m: number; n: number; tall: Block; flat: Block },
  rank: number,
): void {
  const { kernels } = team;
  const room = rooms[team.id]!;
  team.lead(() => {
    kernels.clear(m, rank, tall.at, rank);
    kernels.clear(n, rank, flat.at, rank);
  });
  let loaded: Triplet['block'] | undefined;
  team.perform(
    ranges(triplets.length, CHUNK).map(({ from, to }) => () => {
      kernels.clear(1, CHUNK * n, room.rights, 0);
      kernels.clear(1, CHUNK * n, room.lefts, 0);
      for (let k = from; k < to; ) {
        const { block, value } = triplets[k]!;
        const next = k + 1 < to && triplets[k + 1]!.block === block ? triplets[k + 1] : undefined;
        if (block !== loaded) loadBlock(team, room, block);
        loaded = block;
        solvePair(kernels, room, n, block, value, next?.value, k - from);
        k += next ? 2 : 1;
      }
      kernels.transpose(to - from, n, room.lefts, n, tall.at + from * 4, rank);
      kernels.transpose(to - from, n, room.rights, n, flat.at + from * 4, rank);
    }),
  );
}

function loadBlock(team: Team, room: VectorRoom, { diagonal, superdiagonal }: Triplet['block']): void {
  const n = diagonal.length;
  team.doubles(room.diagonal, n).set(diagonal);
  team.doubles(room.superdiagonal, n - 1).set(superdiagonal);
  team.doubles(room.ratios, n - 1).set(superdiagonal.map((e, i) => e / diagonal[i]!));
}

/** Computes the vectors of one or two values of a block into places `at` and `at` + 1 of the chunk. */
function solvePair(
  kernels: Kernels,
  room: VectorRoom,
  n: number,
  { from, diagonal }: Triplet['block'],
  value: number,
  next: number | undefined,
  at: number,
): void {
  const { diagonal: d, superdiagonal: e, ratios, work, rights, lefts } = room;
  const place = (at * n + from) * 4;
  // A value without a partner is computed twice, into the same place.
  const step = next === undefined ? 0 : n * 4;
  kernels.bidiagonalPair(
    ...([diagonal.length, d, e, ratios, value, next ?? value, work] as const),
    ...([rights + place, lefts + place, step] as const),
  );
}
