// Takes vectors of the bidiagonal matrix back to the band: C <- H_1 H_2 ... C for the reflectors that the chase kept.
//
// The reflectors of one step in consecutive sweeps are merged into a block. Blocks are applied group by group, and
// within a group step by step: reflector (s, t) comes before (s + 1, t - 1), and all others of different steps commute
// (Haidar, Luszczek, Dongarra 2014). Wide blocks multiply about 1.7 times as much, zeros included, but by a BLAS. If
// that is not much faster than the kernels, narrow blocks are better, whose products stay in registers.
import { Arena, ranges, type Team } from '../team.ts';
import type { ChaseRoom } from './chase.ts';
import { type Block, block, multiplyHere, within } from './product.ts';

/** Sweeps per narrow block, as in `kernels/chaseBack.ts`, and per wide block. */
const NARROW = 4;
const WIDE = 24;
/** So many times as fast as the kernels, a BLAS makes up for the zeros. */
const WIDE_PAYS = 2;
/** Floats of a strip of C that a thread takes through all blocks, and its columns at most: it stays in the cache. */
const NARROW_STRIP = { floats: 2 ** 16, cols: 64 };
const WIDE_STRIP = { floats: 2 ** 20, cols: 256 };

export interface ChaseBackRoom {
  readonly blocks: number;
  /** Each thread's strip of C. */
  readonly strips: readonly number[];
}

/** Consecutive sweeps, and where the blocks of their steps lie. */
interface Group {
  readonly first: number;
  readonly count: number;
  readonly steps: number;
  readonly at: number;
}

export function chaseBackRoom(arena: Arena, { n, bandwidth, kept }: ChaseRoom, threads: number): ChaseBackRoom {
  const narrow = Math.ceil(n / NARROW) * (kept?.steps ?? 0) * narrowFloats(bandwidth);
  const wide = wideGroups(n, bandwidth, 0).end / 4;
  const strip = Math.max((n + bandwidth + NARROW) * columns(n, NARROW_STRIP) + 64, (n + WIDE) * columns(n, WIDE_STRIP));
  return {
    blocks: arena.floats(Math.max(narrow, wide)),
    strips: Array.from({ length: threads }, () => arena.floats(strip)),
  };
}

const narrowFloats = (bandwidth: number) => (bandwidth + NARROW) * NARROW + NARROW * NARROW;

const columns = (n: number, { floats, cols }: typeof NARROW_STRIP) =>
  Math.max(16, Math.min(cols, Math.floor(floats / n / 16) * 16));

/** At most `most` columns for each strip, so that all threads have as many strips. */
function evenly(cols: number, most: number, threads: number): number {
  const strips = Math.ceil(cols / most / threads) * threads;
  return Math.min(most, Math.ceil(cols / strips));
}

/** The row stride of the V^T and U^T of a wide block. */
const wideStride = (bandwidth: number) => Math.ceil((bandwidth + WIDE + 7) / 16) * 16;

function wideGroups(n: number, bandwidth: number, at: number): { groups: readonly Group[]; end: number } {
  const arena = new Arena(at);
  const groups = ranges(n - 1, WIDE).map(({ from, to }) => {
    const steps = Math.floor((n - 2 - from) / bandwidth) + 1;
    const count = to - from;
    return { first: from, count, steps, at: arena.floats(steps * wideFloats(count, bandwidth)) };
  });
  return { groups, end: arena.end };
}

/** V^T, U^T and workspace. */
const wideFloats = (count: number, bandwidth: number) => count * (2 * wideStride(bandwidth) + 1);

/** @param side whether to apply the reflectors of the left or of the right vectors */
export function applyChase(
  team: Team,
  { n, bandwidth, kept }: ChaseRoom,
  room: ChaseBackRoom,
  side: 'left' | 'right',
  c: Block,
  cols: number,
): void {
  if (!kept) throw new Error('the chase kept no reflectors');
  const of = { n, bandwidth, at: kept[side], taus: kept.taus + (side === 'left' ? 4 : 0) };
  const { blas } = team;
  const isWide = blas?.threading === 'workers' && (blas.multipliesInPlace || (blas.timesAsFast ?? 0) >= WIDE_PAYS);
  (isWide ? applyWide : applyNarrow)(team, { ...of, ...room, c, cols });
}

/** The reflectors of one side, and the columns to which they are applied. */
interface Application extends ChaseBackRoom {
  readonly n: number;
  readonly bandwidth: number;
  readonly at: number;
  readonly taus: number;
  readonly c: Block;
  readonly cols: number;
}

function applyNarrow(team: Team, { n, bandwidth, at, taus, blocks, strips, c, cols }: Application): void {
  const { kernels } = team;
  const groups = Math.ceil((n - 1) / NARROW);
  team.perform(
    ranges(groups, 16).map(({ from, to }) => () => {
      for (let group = from; group < to; group++) kernels.formChaseBlocks(group, n, bandwidth, at, taus, blocks);
    }),
  );
  const strip = strips[team.id]!;
  team.perform(
    ranges(cols, columns(n, NARROW_STRIP)).map(({ from, to }) => () => {
      const count = to - from;
      const padded = Math.ceil(count / 16) * 16;
      const outside = within(c, 0, from);
      // A block reaches into as many rows of zeros below the strip.
      kernels.clear(1, (n + bandwidth + NARROW) * padded, strip, 0);
      kernels.copy(n, count, outside.at, outside.ld, strip, padded);
      for (let group = groups - 1; group >= 0 && !kernels.askedToStop(team.sync); group--) {
        kernels.applyChaseBlocks(group, n, bandwidth, blocks, strip, padded);
      }
      kernels.copy(n, count, strip, padded, outside.at, outside.ld);
    }),
  );
}

function applyWide(team: Team, { n, bandwidth, at, taus, blocks, strips, c, cols }: Application): void {
  const { kernels } = team;
  const ld = wideStride(bandwidth);
  const { groups } = wideGroups(n, bandwidth, blocks);
  const blockOf = (group: Group, step: number) => group.at + step * wideFloats(group.count, bandwidth) * 4;
  team.perform(
    groups.map((group) => () => {
      const { first, count, steps } = group;
      for (let t = 0; t < steps; t++) {
        kernels.mergeReflectors(first, count, t, n, bandwidth, at, taus, blockOf(group, t), ld);
      }
    }),
  );
  const strip = strips[team.id]!;
  team.perform(
    ranges(cols, evenly(cols, columns(n, WIDE_STRIP), team.threads), 16).map(({ from, to }) => () => {
      const width = to - from;
      const outside = within(c, 0, from);
      const inside = block(strip, width);
      const products = block(strip + n * width * 4, width);
      kernels.copy(n, width, outside.at, outside.ld, inside.at, width);
      for (const group of groups.toReversed()) {
        if (kernels.askedToStop(team.sync)) return;
        const { first, count, steps } = group;
        for (let t = 0; t < steps; t++) {
          const top = first + 1 + t * bandwidth;
          const rows = Math.min(bandwidth + count - 1, n - top);
          const v = block(blockOf(group, t), ld);
          const u = within(v, count, 0);
          const here = within(inside, top, 0);
          multiplyHere(team, { m: count, n: width, k: rows, a: v, b: here, c: products });
          const back = { m: rows, n: width, k: count, a: u, transposeA: true, b: products, c: here };
          multiplyHere(team, { ...back, alpha: -1, beta: 1 });
        }
      }
      kernels.copy(n, width, inside.at, width, outside.at, outside.ld);
    }),
  );
}
