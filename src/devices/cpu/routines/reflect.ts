import type { Arena, Team } from '../team.ts';
import { type Panel, runsOf, transposeTasks } from './panel.ts';
import { type Block, block, multiplyHere, productTasks, within } from './product.ts';

export interface ReflectRoom {
  readonly upright: number;
  /** V^T C and T V^T C: one row per reflector of a panel. */
  readonly product: Block;
  readonly scaled: Block;
}

/** For panels of at most `width` reflectors of `rows` entries each, and matrices of at most `cols` columns. */
export function reflectRoom(arena: Arena, width: number, rows: number, cols: number): ReflectRoom {
  const rowOfEach = () => block(arena.floats(width * cols), cols);
  return { upright: arena.floats(width * rows), product: rowOfEach(), scaled: rowOfEach() };
}

/** c <- (I - V T V^T) c for a c of `cols` columns; with `transposed`, c <- (I - V T^T V^T) c. */
export function reflect(
  team: Team,
  { upright, product, scaled }: ReflectRoom,
  panel: Panel,
  c: Block,
  cols: number,
  transposed: boolean,
): void {
  const { v, count, length, t } = panel;
  const a = block(upright, count);
  const runs = runsOf(panel);
  team.perform(transposeTasks(team, count, length, v, a));
  for (const { at, row, rows } of runs) {
    const [left, right] = [within(a, at, 0), within(c, row, 0)];
    const sum = { m: count, n: cols, k: rows, a: left, transposeA: true, b: right, c: product, beta: at > 0 ? 1 : 0 };
    team.perform(productTasks(team, sum));
  }
  team.perform(
    productTasks(team, { m: count, n: cols, k: count, a: t, transposeA: transposed, b: product, c: scaled }),
  );
  const change = { n: cols, k: count, transposeA: true, b: scaled, alpha: -1, beta: 1 };
  const changes = runs.map(({ at, row, rows }) => ({ ...change, m: rows, a: within(v, 0, at), c: within(c, row, 0) }));
  team.perform(productTasks(team, ...changes));
}

/** Where two panels are joined, and what `reflect` needs for the result. */
export interface JoinRoom extends ReflectRoom {
  readonly v: number;
  readonly t: number;
  readonly cross: number;
  readonly scaledCross: number;
}

/** For pairs of panels of at most `width` reflectors of `rows` entries each, and matrices of `cols` columns. */
export function joinRoom(arena: Arena, width: number, rows: number, cols: number): JoinRoom {
  return {
    ...reflectRoom(arena, 2 * width, rows, cols),
    v: arena.floats(2 * width * rows),
    t: arena.floats(4 * width * width),
    cross: arena.floats(width * width),
    scaledCross: arena.floats(width * width),
  };
}

/**
 * c <- Q c, where Q is the product of all panels, two at a time, because deeper products are faster. Every panel ends
 * on the last of the `rows` rows.
 */
export function reflectAll(
  team: Team,
  room: JoinRoom,
  panels: readonly Panel[],
  rows: number,
  c: Block,
  cols: number,
): void {
  for (let i = panels.length - 1; i >= 0; i -= 2) {
    const pair = i > 0 ? join(team, room, panels[i - 1]!, panels[i]!) : panels[i]!;
    reflect(team, room, pair, within(c, rows - pair.length, 0), cols, false);
  }
}

/** One panel that does what `first` does after `second`, whose reflectors end on the same row. */
function join(team: Team, room: JoinRoom, first: Panel, second: Panel): Panel {
  const { kernels } = team;
  const count = first.count + second.count;
  const { length } = first;
  const offset = length - second.length;
  const v = block(room.v, length);
  const below = within(v, first.count, offset);
  team.lead(() => {
    kernels.copy(first.count, length, first.v.at, first.v.ld, v.at, v.ld);
    kernels.clear(second.count, offset, within(v, first.count, 0).at, v.ld);
    kernels.copy(second.count, second.length, second.v.at, second.v.ld, below.at, below.ld);
  });
  // T is block upper triangular, with -T1 (V1^T V2) T2 beside T1 and T2.
  const cross = block(room.cross, second.count);
  const [m, n] = [first.count, second.count];
  const overlap = within(first.v, 0, offset);
  team.perform(productTasks(team, { m, n, k: second.length, a: overlap, b: second.v, transposeB: true, c: cross }));
  const t = block(room.t, count);
  team.lead(() => {
    const scaled = block(room.scaledCross, n);
    kernels.clear(count, count, t.at, t.ld);
    kernels.copy(m, m, first.t.at, first.t.ld, t.at, t.ld);
    kernels.copy(n, n, second.t.at, second.t.ld, within(t, m, m).at, t.ld);
    multiplyHere(team, { m, n, k: n, a: cross, b: second.t, c: scaled });
    multiplyHere(team, { m, n, k: m, a: first.t, b: scaled, c: within(t, 0, m), alpha: -1 });
  });
  return { v, count, length, t };
}
