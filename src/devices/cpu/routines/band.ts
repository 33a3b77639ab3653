// Reduction of a full matrix to an upper band by blocked Householder transforms (Grosser and Lang 1999). Each step
// takes a QR of some columns, an LQ of as many rows and one merged update of the trailing matrix, A <- A - V1 Y^T - X
// V2^T, which is thus read twice and written once per step.
import { type Arena, ranges, type Team } from '../team.ts';
import {
  completePanel,
  factorPanel,
  formT,
  gramProduct,
  type Panel,
  type PanelRoom,
  panelRoom,
  panelWidth,
  transposeTasks,
} from './panel.ts';
import { type Block, block, multiplyHere, productTasks, within } from './product.ts';
import { keepColumns } from './qr.ts';

export interface BandRoom extends PanelRoom {
  readonly m: number;
  readonly n: number;
  /** [V1; X]^T, 2 width x m, and [Y; V2]^T, 2 width x n: the merged update is their product. */
  readonly left: number;
  readonly right: number;
  /** V1 (m x width), later V2 (n x width). */
  readonly upright: number;
  /** V1^T A (width x n), later A V2 (m x width). */
  readonly product: number;
  /** (A V2)^T. */
  readonly productTransposed: number;
  readonly t: number;
  readonly cross: number;
  /** The panels of both sides, if vectors are wanted; those of step i begin at row i width and at row (i + 1) width. */
  readonly kept: { readonly left: readonly Panel[]; readonly right: readonly Panel[] } | undefined;
}

export function bandRoom(arena: Arena, m: number, n: number, threads: number, keep: boolean): BandRoom {
  const width = panelWidth(n, keep);
  return {
    ...panelRoom(arena, width, threads),
    m,
    n,
    left: arena.floats(2 * width * m),
    right: arena.floats(2 * width * n),
    upright: arena.floats(width * Math.max(m, n)),
    product: arena.floats(width * Math.max(m, n)),
    productTransposed: arena.floats(width * m),
    t: arena.floats(width * width),
    cross: arena.floats(width * width),
    kept: keep ? { left: panels(arena, m, n, width, 0), right: panels(arena, n, n, width, width) } : undefined,
  };
}

/** Allocates the panel of each step, which begins `offset` rows below the step. */
function panels(arena: Arena, rows: number, n: number, width: number, offset: number): Panel[] {
  return ranges(n - offset, width).map(({ from }) => {
    const length = rows - offset - from;
    const count = Math.min(width, n - from);
    return {
      v: block(arena.floats(count * length), length),
      count,
      length,
      t: block(arena.floats(count * count), count),
    };
  });
}

/** Reduces `a` (m x n, m >= n) to an upper band with `width` superdiagonals; outside the band, `a` is undefined. */
export function reduceToBand(team: Team, room: BandRoom, a: Block, progress: (share: number) => void): void {
  const { n, width } = room;
  for (let j = 0; j < n; j += width) {
    step(team, room, a, j);
    progress(1 - ((n - j - width) / n) ** 3);
  }
}

function step(team: Team, room: BandRoom, a: Block, j: number): void {
  const { m, n } = room;
  const count = Math.min(room.width, n - j);
  const rows = m - j;
  const cols = n - j - count;
  const t = block(room.t, count);
  const columns: Panel = { v: block(room.left, rows), count, length: rows, t };

  team.perform(transposeTasks(team, rows, count, within(a, j, j), columns.v));
  factorPanel(team, room, columns, (row) => keepColumns(team, a, j, j, count, row));
  team.passed('panels');
  const i = j / room.width;
  if (cols === 0) {
    if (room.kept) completePanel(team, room, columns);
    keep(team, room.kept?.left[i], columns);
    return;
  }

  // Y^T = T^T V1^T A, and the row panel less V1 Y^T, ready to be factored.
  const y = block(room.right, cols);
  const right: Panel = { v: block(room.right + count * cols * 4, cols), count, length: cols, t };
  const product = block(room.product, cols);
  const upright = block(room.upright, count);
  team.perform(transposeTasks(team, count, rows, columns.v, upright));
  const byRows = { m: count, n: cols, k: rows, a: upright, transposeA: true, b: within(a, j, j + count), c: product };
  team.perform(productTasks(team, byRows, gramProduct(room, columns)));
  team.lead(() => formT(team, room, columns));
  keep(team, room.kept?.left[i], columns);
  team.perform(
    ranges(cols, 256, 16).map(({ from, to }) => () => {
      const here = { m: count, n: to - from, k: count, transposeA: true };
      multiplyHere(team, { ...here, a: t, b: within(product, 0, from), c: within(y, 0, from) });
      const panel = within(a, j, j + count + from);
      const out = within(right.v, 0, from);
      team.kernels.copy(count, to - from, panel.at, panel.ld, out.at, out.ld);
      multiplyHere(team, { ...here, a: columns.v, b: within(y, 0, from), c: out, alpha: -1, beta: 1 });
    }),
  );
  team.passed('thin products');
  factorPanel(team, room, right, (row) => {
    for (let r = 0; r < count; r++) {
      const values = row(r);
      team.floats(a.at + ((j + r) * a.ld + j + count) * 4, values.length).set(values);
    }
  });

  team.passed('panels');

  // X^T = T2^T ((A V2)^T - (Y^T V2)^T V1^T), over the rows below the panel.
  const below = rows - count;
  const rest = within(a, j + count, j + count);
  const v1 = within(columns.v, 0, count);
  const raw = block(room.product, count);
  const rawTransposed = block(room.productTransposed, below);
  const x = within(block(room.left, rows), count, count);
  const cross = block(room.cross, count);
  team.perform(transposeTasks(team, count, cols, right.v, upright));
  const byColumns = { m: below, n: count, k: cols, a: rest, b: upright, c: raw };
  const crossing = { m: count, n: count, k: cols, a: y, b: right.v, transposeB: true, c: cross };
  team.perform(productTasks(team, byColumns, crossing, gramProduct(room, right)));
  team.lead(() => formT(team, room, right));
  keep(team, room.kept?.right[i], right);
  team.perform(
    ranges(below, 256, 16).map(({ from, to }) => () => {
      const here = { m: count, n: to - from, k: count, transposeA: true };
      const out = within(rawTransposed, 0, from);
      team.kernels.transpose(to - from, count, within(raw, from, 0).at, raw.ld, out.at, out.ld);
      multiplyHere(team, { ...here, a: cross, b: within(v1, 0, from), c: out, alpha: -1, beta: 1 });
      multiplyHere(team, { ...here, a: t, b: out, c: within(x, 0, from) });
    }),
  );
  team.passed('thin products');
  team.perform(
    productTasks(team, {
      m: below,
      n: cols,
      k: 2 * count,
      a: within(block(room.left, rows), 0, count),
      transposeA: true,
      b: block(room.right, cols),
      c: rest,
      alpha: -1,
      beta: 1,
    }),
  );
  team.passed('updates');
}

function keep(team: Team, room: Panel | undefined, { v, t, count, length }: Panel): void {
  if (!room) return;
  team.lead(() => {
    team.kernels.copy(count, length, v.at, v.ld, room.v.at, room.v.ld);
    team.kernels.copy(count, count, t.at, t.ld, room.t.at, room.t.ld);
  });
}
