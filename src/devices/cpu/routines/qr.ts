import { type Arena, ranges, type Team } from '../team.ts';
import {
  completePanel,
  factorPanel,
  type Panel,
  type PanelRoom,
  panelRoom,
  qrPanelWidth,
  transposeTasks,
} from './panel.ts';
import { type Block, block, within } from './product.ts';
import { type ReflectRoom, reflect, reflectRoom } from './reflect.ts';

export interface QrRoom extends PanelRoom, ReflectRoom {
  readonly m: number;
  readonly n: number;
  /** Each panel's reflectors and T. If Q is not wanted, all panels share one buffer. */
  readonly panels: readonly Panel[];
}

/** @param keepQ whether to keep the reflectors for `formQ` */
export function qrRoom(arena: Arena, m: number, n: number, threads: number, keepQ: boolean): QrRoom {
  const width = qrPanelWidth(n);
  const shared = keepQ ? undefined : { v: arena.floats(width * m), t: arena.floats(width * width) };
  const panels = ranges(n, width).map(({ from, to }) => {
    const count = to - from;
    const length = m - from;
    const v = block(shared?.v ?? arena.floats(count * length), length);
    return { v, count, length, t: block(shared?.t ?? arena.floats(count * count), count) };
  });
  return {
    ...panelRoom(arena, width, threads),
    m,
    n,
    panels,
    ...reflectRoom(arena, width, n),
  };
}

/** Householder QR by panels: the upper triangle of `a` (m x n, m >= n) becomes R; below it, `a` is undefined. */
export function factorQr(team: Team, room: QrRoom, a: Block, progress: (share: number) => void): void {
  const { m, n, panels } = room;
  for (const [i, panel] of panels.entries()) {
    const j = i * room.width;
    const { count, length, v } = panel;
    team.perform(transposeTasks(team, length, count, within(a, j, j), v));
    factorPanel(team, room, panel, (row) => keepColumns(team, a, j, j, count, row));
    team.passed('QR panels');
    const rest = n - j - count;
    completePanel(team, room, panel);
    if (rest > 0) reflect(team, room, panel, within(a, j, j + count), rest, true);
    team.passed('QR updates');
    progress(1 - ((n - j) / n) ** 2 * ((m - j) / m));
  }
}

/** Writes the columns R(0..r, r) of a panel to `a` from (row, col) on. */
export function keepColumns(
  team: Team,
  a: Block,
  row: number,
  col: number,
  count: number,
  of: (r: number) => Float32Array,
): void {
  const out = team.floats(a.at, (row + count) * a.ld);
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
  for (const [i, panel] of [...panels.entries()].reverse()) {
    const j = i * room.width;
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
