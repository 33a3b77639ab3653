// Householder QR in two levels. Columns are factored in narrow panels, which fit into the caches and take little time
// beside the products; the block reflectors of several panels are joined, so that the products with the rest of the
// matrix are deep (LAPACK's geqrt3 does the same by recursion, Elmroth and Gustavson 2000). Where the first n rows are
// upper triangular already, a panel leaves out those that are zero in its columns: with p rows below them, that takes
// 2 n^2 p operations instead of 2 n^2 (p + 2 n / 3) (LAPACK's tpqrt).
import { type Arena, ranges, type Team } from '../team.ts';
import { factorPanel, type Panel, type PanelRoom, panelRoom, runsOf, transposeTasks } from './panel.ts';
import { type Block, block, multiplyDeep, multiplyHere, productTasks, within } from './product.ts';
import { type ReflectRoom, reflect, reflectRoom } from './reflect.ts';

/** Columns that are factored at a time. */
const NARROW = 32;
/** Columns whose reflectors are joined before they meet the rest of the matrix. */
export const qrPanelWidth = (n: number): number => (n < 384 ? 48 : 96);

export interface QrRoom extends PanelRoom, ReflectRoom {
  readonly m: number;
  readonly n: number;
  /** Each panel's reflectors and T. If Q is not wanted, all panels share one buffer. */
  readonly panels: readonly Panel[];
  /** Products within a panel, the parts of them that each thread computes, and their products with T. */
  readonly products: number;
  readonly parts: number;
  readonly scaledProducts: number;
}

/**
 * @param keepQ whether to keep the reflectors for `formQ`
 * @param triangular of how many of the first rows it is known that below the diagonal they are zero; with Q, of none
 */
export function qrRoom(arena: Arena, m: number, n: number, threads: number, keepQ: boolean, triangular = 0): QrRoom {
  const width = Math.min(qrPanelWidth(n), n);
  const shapes = ranges(n, width).map(({ from, to }) => {
    const gap = Math.max(0, triangular - to);
    return { count: to - from, length: m - from - gap, gap };
  });
  const longest = Math.max(0, ...shapes.map(({ length }) => length));
  const shared = keepQ ? undefined : { v: arena.floats(width * longest), t: arena.floats(width * width) };
  const panels = shapes.map(({ count, length, gap }) => {
    const v = block(shared?.v ?? arena.floats(count * length), length);
    return { v, count, length, gap, t: block(shared?.t ?? arena.floats(count * count), count) };
  });
  return {
    ...panelRoom(arena, NARROW, threads),
    m,
    n,
    panels,
    products: arena.floats(width * NARROW),
    parts: arena.floats(threads * width * NARROW),
    scaledProducts: arena.floats(width * NARROW),
    ...reflectRoom(arena, width, longest, n),
  };
}

/** Householder QR by panels: the upper triangle of `a` (m x n, m >= n) becomes R; below it, `a` is undefined. */
export function factorQr(team: Team, room: QrRoom, a: Block, progress: (share: number) => void): void {
  const { n, panels } = room;
  let j = 0;
  for (const [i, panel] of panels.entries()) {
    const { count, v } = panel;
    const parts = runsOf(panel).flatMap(({ at, row, rows }) =>
      transposeTasks(team, rows, count, within(a, j + row, j), within(v, 0, at)),
    );
    team.perform(parts);
    for (let from = 0; from < count; from += NARROW) factorNarrow(team, room, panel, from, a, j);
    team.passed('QR panels');
    const rest = n - j - count;
    if (rest > 0) reflect(team, room, panel, within(a, j, j + count), rest, true);
    team.passed('QR products');
    j += count;
    progress(1 - ((n - j) / n) ** 2 * ((panels[i + 1]?.length ?? 0) / panels[0]!.length));
  }
}

/** Factors the columns of a panel from `from` on, joins their reflectors to those before, and reflects those behind. */
function factorNarrow(
  team: Team,
  room: QrRoom,
  { v, count, length, t }: Panel,
  from: number,
  a: Block,
  j: number,
): void {
  const { kernels } = team;
  const width = Math.min(NARROW, count - from);
  const narrow: Panel = {
    v: within(v, from, from),
    count: width,
    length: length - from,
    t: within(t, from, from),
  };
  // The columns of R above the panel, which reflectors before it have left there.
  const above = (r: number) => team.floats(v.at + (from + r) * v.ld * 4, from + 1 + r);
  factorPanel(team, room, narrow, () => keepColumns(team, a, j, j + from, width, above));
  team.lead(() => kernels.clear(width, from, within(v, from, 0).at, v.ld));

  // One product of all rows with V gives V1^T V for the reflectors before, V^T V, and C^T V for the columns behind.
  const products = block(room.products, width);
  const k = narrow.length;
  multiplyDeep(team, { m: count, n: width, k, a: within(v, 0, from), b: narrow.v, c: products }, room.parts);
  const rest = count - from - width;
  const behind = within(products, from + width, 0);
  const scaled = block(room.scaledProducts, width);
  team.lead(() => {
    kernels.formT(width, within(products, from, 0).at, room.tau, narrow.t.at, narrow.t.ld);
    multiplyHere(team, { m: rest, n: width, k: width, a: behind, b: narrow.t, c: within(scaled, from, 0) });
    // The block of T above that of this panel is -T1 (V1^T V) T2.
    multiplyHere(team, { m: from, n: width, k: width, a: products, b: narrow.t, c: scaled });
    multiplyHere(team, { m: from, n: width, k: from, a: t, b: scaled, c: within(t, 0, from), alpha: -1 });
    kernels.clear(width, from, within(t, from, 0).at, t.ld);
  });
  if (rest === 0) return;
  // C^T <- C^T - (C^T V) T V^T, because a panel holds its columns as rows.
  const change = { m: rest, n: k, k: width, a: within(scaled, from, 0), b: narrow.v, alpha: -1, beta: 1 };
  team.perform(productTasks(team, { ...change, c: within(v, from + width, from) }));
}

/** Writes `count` columns of R, of which `of(r)` holds column r, to `a` from (row, col) on. */
export function keepColumns(
  team: Team,
  a: Block,
  row: number,
  col: number,
  count: number,
  of: (r: number) => Float32Array,
): void {
  const out = team.floats(a.at, (row + of(count - 1).length) * a.ld);
  for (let r = 0; r < count; r++) {
    const values = of(r);
    for (let i = 0; i < values.length; i++) out[(row + i) * a.ld + col + r] = values[i]!;
  }
}

/** Writes Q (m x n) over `a`, from the reflectors that `factorQr` kept. */
export function formQ(team: Team, room: QrRoom, a: Block, progress: (share: number) => void): void {
  const { m, n, panels } = room;
  setIdentity(team, m, n, a);
  // Columns to the left of a panel are still unit vectors, which its reflectors do not change.
  for (const panel of [...panels].reverse()) {
    const j = m - panel.length;
    reflect(team, room, panel, within(a, j, j), n - j, false);
    progress(((n - j) / n) ** 2);
  }
}

export function setIdentity(team: Team, m: number, n: number, a: Block): void {
  const { kernels } = team;
  team.perform(
    ranges(m, Math.max(1, 2 ** 20 / n)).map(({ from, to }) => () => {
      kernels.clear(to - from, n, a.at + from * a.ld * 4, a.ld);
      for (let i = from; i < Math.min(n, to); i++) team.floats(a.at + i * (a.ld + 1) * 4, 1)[0] = 1;
    }),
  );
}

/** Copies the n x n upper triangle of `a` to `out` and clears what is below it. */
export function copyTriangle(team: Team, n: number, a: Block, out: Block): void {
  const { kernels } = team;
  team.perform(
    ranges(n, Math.max(1, 2 ** 20 / n)).map(({ from, to }) => () => {
      for (let i = from; i < to; i++) {
        kernels.clear(1, i, out.at + i * out.ld * 4, out.ld);
        kernels.copy(1, n - i, a.at + i * (a.ld + 1) * 4, a.ld, out.at + i * (out.ld + 1) * 4, out.ld);
      }
    }),
  );
}
