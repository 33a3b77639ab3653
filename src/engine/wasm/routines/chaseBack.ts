// Brings vectors of the bidiagonal matrix back to the band: C <- H_1 H_2 ... C for the reflectors that the chase kept.
//
// Reflectors of one step t of `GROUP` sweeps in a row overlap in a window of b + GROUP - 1 rows: they become one block I - V T V^T. Within a
// group of sweeps the blocks go by step, since reflector (s, t) comes before (s + 1, t - 1), and all others of different steps commute
// (Haidar, Luszczek, Dongarra 2014).
import { type Arena, ranges, type Team } from '../team.ts';
import type { ChaseRoom, KeptReflectors } from './chase.ts';
import { type Block, block, multiplyHere, within } from './product.ts';

/** Sweeps of a block: a multiple of the rows of a register tile. */
const GROUP = 36;
/** Columns of C that one thread takes through all blocks: enough for good products, few enough to stay near. */
const STRIP = 192;

export interface ChaseBackRoom {
  /** T of every block. */
  readonly t: number;
  /** Each thread's V^T, its Gram products, tau, V^T C and T V^T C. */
  readonly own: readonly { v: number; gram: number; tau: number; product: number; scaled: number }[];
}

export function chaseBackRoom(arena: Arena, { n, bandwidth, kept }: ChaseRoom, threads: number): ChaseBackRoom {
  const blocks = Math.ceil(n / GROUP) * (kept?.steps ?? 0);
  return {
    t: arena.floats(blocks * GROUP * GROUP),
    own: Array.from({ length: threads }, () => ({
      v: arena.floats(GROUP * (bandwidth + GROUP)),
      gram: arena.floats(GROUP * GROUP),
      tau: arena.floats(GROUP),
      product: arena.floats(GROUP * STRIP),
      scaled: arena.floats(GROUP * STRIP),
    })),
  };
}

/** @param side which of the reflectors: those of the left vectors or of the right ones */
export function applyChase(
  team: Team,
  chase: ChaseRoom,
  room: ChaseBackRoom,
  side: 'left' | 'right',
  c: Block,
  cols: number,
): void {
  const { n } = chase;
  const kept = chase.kept!;
  const groups = Math.ceil((n - 1) / GROUP);
  const own = room.own[team.id]!;
  team.perform(
    ranges(groups, 1).map(({ from: group }) => () => {
      for (let step = 0; step < kept.steps; step++) {
        const found = loadBlock(team, chase, kept, own.v, side, group, step);
        if (!found) break;
        const { v, count, rows } = found;
        const taus = team.floats(own.tau, count);
        const all = team.floats(kept.taus, 2 * n * kept.steps);
        for (let i = 0; i < count; i++) {
          taus[i] = all[2 * ((group * GROUP + i) * kept.steps + step) + (side === 'left' ? 1 : 0)]!;
        }
        const gram = block(own.gram, count);
        multiplyHere(team, { m: count, n: count, k: rows, a: v, b: v, transposeB: true, c: gram });
        team.kernels.formT(count, own.gram, own.tau, room.t + (group * kept.steps + step) * GROUP * GROUP * 4);
      }
    }),
  );
  team.perform(
    ranges(cols, Math.min(STRIP, Math.ceil(cols / team.threads)), 16).map(({ from, to }) => () => {
      const width = to - from;
      const product = block(own.product, width);
      const scaled = block(own.scaled, width);
      for (let group = groups - 1; group >= 0; group--) {
        for (let step = 0; step < kept.steps; step++) {
          const found = loadBlock(team, chase, kept, own.v, side, group, step);
          if (!found) break;
          const { v, count, rows, top } = found;
          const t = block(room.t + (group * kept.steps + step) * GROUP * GROUP * 4, count);
          const here = within(c, top, from);
          multiplyHere(team, { m: count, n: width, k: rows, a: v, b: here, c: product });
          multiplyHere(team, { m: count, n: width, k: count, a: t, b: product, c: scaled });
          multiplyHere(team, {
            m: rows,
            n: width,
            k: count,
            a: v,
            transposeA: true,
            b: scaled,
            c: here,
            alpha: -1,
            beta: 1,
          });
        }
      }
    }),
  );
}

/** V^T of a block, dense: row i is the reflector of the group's sweep i, from row `top` of C on. */
function loadBlock(
  { kernels }: Team,
  { n, bandwidth }: ChaseRoom,
  kept: KeptReflectors,
  at: number,
  side: 'left' | 'right',
  group: number,
  step: number,
): { v: Block; count: number; rows: number; top: number } | undefined {
  const first = group * GROUP;
  const top = first + 1 + step * bandwidth;
  const count = Math.min(GROUP, n - top, n - 1 - first);
  if (count <= 0) return undefined;
  const rows = Math.min(bandwidth + count - 1, n - top);
  const v = block(at, bandwidth + GROUP);
  kernels.clear(count, v.ld, at, v.ld);
  for (let i = 0; i < count; i++) {
    const from = kept[side] + ((first + i) * kept.width + top + i) * 4;
    kernels.copy(1, Math.min(bandwidth, n - top - i), from, 0, at + (i * v.ld + i) * 4, 0);
  }
  return { v, count, rows, top };
}
