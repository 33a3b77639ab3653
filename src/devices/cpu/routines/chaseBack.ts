// Takes vectors of the bidiagonal matrix back to the band: C <- H_1 H_2 ... C for the reflectors that the chase kept.
//
// Blocks of reflectors are applied group by group, and within a group step by step: reflector (s, t) comes before
// (s + 1, t - 1), and all others of different steps commute (Haidar, Luszczek, Dongarra 2014).
import { type Arena, ranges, type Team } from '../team.ts';
import type { ChaseRoom } from './chase.ts';
import { type Block, within } from './product.ts';

/** Sweeps per block, and the rows of a block beyond the bandwidth, as in `kernels/chaseBack.ts`. */
const GROUP = 4;
/** Floats of a strip of C that a thread takes through all blocks: small enough to stay in its cache. */
const STRIP = 2 ** 16;

export interface ChaseBackRoom {
  readonly blocks: number;
  /** Columns of a strip. */
  readonly cols: number;
  /** Each thread's strip of C, with as many rows of zeros below it as a block has, and workspace. */
  readonly strips: readonly number[];
}

export function chaseBackRoom(arena: Arena, { n, bandwidth, kept }: ChaseRoom, threads: number): ChaseBackRoom {
  const cols = Math.max(16, Math.min(64, Math.floor(STRIP / n / 16) * 16));
  const blockFloats = (bandwidth + GROUP) * GROUP + GROUP * GROUP;
  return {
    blocks: arena.floats(Math.ceil(n / GROUP) * (kept?.steps ?? 0) * blockFloats),
    cols,
    strips: Array.from({ length: threads }, () => arena.floats((n + bandwidth + GROUP) * cols + 64)),
  };
}

/** @param side whether to apply the reflectors of the left or of the right vectors */
export function applyChase(
  team: Team,
  { n, bandwidth, kept }: ChaseRoom,
  { blocks, cols: width, strips }: ChaseBackRoom,
  side: 'left' | 'right',
  c: Block,
  cols: number,
): void {
  const { kernels } = team;
  if (!kept) throw new Error('the chase kept no reflectors');
  const groups = Math.ceil((n - 1) / GROUP);
  const taus = kept.taus + (side === 'left' ? 4 : 0);
  team.perform(
    ranges(groups, 16).map(({ from, to }) => () => {
      for (let group = from; group < to; group++) {
        kernels.formChaseBlocks(group, n, bandwidth, kept[side], taus, blocks);
      }
    }),
  );
  const strip = strips[team.id]!;
  team.perform(
    ranges(cols, width).map(({ from, to }) => () => {
      const count = to - from;
      const padded = Math.ceil(count / 16) * 16;
      const outside = within(c, 0, from);
      kernels.clear(1, (n + bandwidth + GROUP) * padded, strip, 0);
      kernels.copy(n, count, outside.at, outside.ld, strip, padded);
      for (let group = groups - 1; group >= 0 && !kernels.askedToStop(team.sync); group--) {
        kernels.applyChaseBlocks(group, n, bandwidth, blocks, strip, padded);
      }
      kernels.copy(n, count, strip, padded, outside.at, outside.ld);
    }),
  );
}
