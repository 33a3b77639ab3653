// Takes vectors of the bidiagonal matrix back to the band: C <- H_1 H_2 ... C for the reflectors that the chase kept.
//
// The reflectors of step t in `GROUP` consecutive sweeps overlap in a window of b + GROUP - 1 rows and are applied as
// one block I - V T V^T. Within a group the blocks are applied step by step: reflector (s, t) comes before (s + 1, t -
// 1), and all others of different steps commute (Haidar, Luszczek, Dongarra 2014).
import { SYNC } from '../memory.ts';
import { type Arena, ranges, type Team } from '../team.ts';
import type { ChaseRoom, KeptReflectors } from './chase.ts';
import { type Block, block, multiplyHere, within } from './product.ts';

/** Sweeps per block: a multiple of the rows of a register tile. */
const GROUP = 36;
/**
 * Columns of C that a thread takes through all blocks, as a dense copy: enough for efficient products, few enough for
 * its cache.
 */
const STRIP = 192;

/** Rows of C that a block touches, in whole register tiles. A strip is padded with as many rows of zeros. */
const windowRows = (bandwidth: number): number => Math.ceil((bandwidth + GROUP) / 6) * 6;

export interface ChaseBackRoom {
  /** T V^T of every block. */
  readonly scaled: number;
  /** Each thread's V^T, V^T V, T, tau, T V^T C and strip of C. */
  readonly own: readonly { v: number; gram: number; t: number; tau: number; product: number; strip: number }[];
}

export function chaseBackRoom(arena: Arena, { n, bandwidth, kept }: ChaseRoom, threads: number): ChaseBackRoom {
  const blocks = Math.ceil(n / GROUP) * (kept?.steps ?? 0);
  return {
    scaled: arena.floats(blocks * GROUP * windowRows(bandwidth)),
    own: Array.from({ length: threads }, () => ({
      v: arena.floats(GROUP * windowRows(bandwidth)),
      gram: arena.floats(GROUP * GROUP),
      t: arena.floats(GROUP * GROUP),
      tau: arena.floats(GROUP),
      product: arena.floats(GROUP * STRIP),
      strip: arena.floats((n + windowRows(bandwidth)) * STRIP),
    })),
  };
}

/** @param side whether to apply the reflectors of the left or of the right vectors */
export function applyChase(
  team: Team,
  chase: ChaseRoom,
  room: ChaseBackRoom,
  side: 'left' | 'right',
  c: Block,
  cols: number,
): void {
  const { n, bandwidth } = chase;
  const { kernels } = team;
  const kept = chase.kept!;
  const groups = Math.ceil((n - 1) / GROUP);
  const own = room.own[team.id]!;
  const width = windowRows(bandwidth);
  const scaledOf = (group: number, step: number) =>
    block(room.scaled + (group * kept.steps + step) * GROUP * width * 4, width);
  team.perform(
    ranges(groups, 1).map(({ from: group }) => () => {
      for (let step = 0; step < kept.steps; step++) {
        const found = loadBlock(team, chase, kept, own.v, side, group, step);
        if (!found) break;
        const { v, count } = found;
        const taus = team.floats(own.tau, count);
        const all = team.floats(kept.taus, 2 * n * kept.steps);
        for (let i = 0; i < count; i++) {
          taus[i] = all[2 * ((group * GROUP + i) * kept.steps + step) + (side === 'left' ? 1 : 0)]!;
        }
        const gram = block(own.gram, count);
        multiplyHere(team, { m: count, n: count, k: width, a: v, b: v, transposeB: true, c: gram });
        kernels.formT(count, own.gram, own.tau, own.t);
        multiplyHere(team, { m: count, n: width, k: count, a: block(own.t, count), b: v, c: scaledOf(group, step) });
      }
    }),
  );
  team.perform(
    ranges(cols, Math.min(STRIP, Math.ceil(cols / team.threads)), 16).map(({ from, to }) => () => {
      const count = to - from;
      const strip = block(own.strip, count);
      const outside = within(c, 0, from);
      kernels.copy(n, count, outside.at, outside.ld, strip.at, strip.ld);
      kernels.clear(width, count, strip.at + n * count * 4, strip.ld);
      for (let group = groups - 1; group >= 0 && !kernels.askedToStop(SYNC); group--) {
        for (let step = 0; step < kept.steps; step++) {
          const found = loadBlock(team, chase, kept, own.v, side, group, step);
          if (!found) break;
          const product = block(own.product, count);
          const here = { n: count, c: within(strip, found.top, 0) };
          const { v, count: k } = found;
          multiplyHere(team, { m: k, n: count, k: width, a: scaledOf(group, step), b: here.c, c: product });
          multiplyHere(team, { ...here, m: width, k, a: v, transposeA: true, b: product, alpha: -1, beta: 1 });
        }
      }
      kernels.copy(n, count, strip.at, strip.ld, outside.at, outside.ld);
    }),
  );
}

/** Loads V^T of a block, dense: row i is the reflector of sweep i of the group, which acts from row `top` of C on. */
function loadBlock(
  { kernels }: Team,
  { n, bandwidth }: ChaseRoom,
  kept: KeptReflectors,
  at: number,
  side: 'left' | 'right',
  group: number,
  step: number,
): { v: Block; count: number; top: number } | undefined {
  const first = group * GROUP;
  const top = first + 1 + step * bandwidth;
  const count = Math.min(GROUP, n - top, n - 1 - first);
  if (count <= 0) return undefined;
  const v = block(at, windowRows(bandwidth));
  const source = kept[side] + (first * kept.width + top) * 4;
  kernels.gatherReflectors(source, kept.width, count, bandwidth, n - top, at, v.ld);
  return { v, count, top };
}
