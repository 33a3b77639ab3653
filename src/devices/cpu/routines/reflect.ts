import type { Arena, Team } from '../team.ts';
import type { Panel } from './panel.ts';
import { type Block, block, productTasks, within } from './product.ts';

/** V^T C and T V^T C: one row per reflector of a panel. */
export interface ReflectRoom {
  readonly product: Block;
  readonly scaled: Block;
}

/** For panels of at most `width` and matrices of at most `cols` columns. */
export function reflectRoom(arena: Arena, width: number, cols: number): ReflectRoom {
  return { product: block(arena.floats(width * cols), cols), scaled: block(arena.floats(width * cols), cols) };
}

/** c <- (I - V T V^T) c for a c of `cols` columns; with `transposed`, c <- (I - V T^T V^T) c. */
export function reflect(
  team: Team,
  { product, scaled }: ReflectRoom,
  { v, count, length, t }: Panel,
  c: Block,
  cols: number,
  transposed: boolean,
): void {
  team.perform(productTasks(team, { m: count, n: cols, k: length, a: v, b: c, c: product }));
  team.perform(
    productTasks(team, { m: count, n: cols, k: count, a: t, transposeA: transposed, b: product, c: scaled }),
  );
  team.perform(
    productTasks(team, { m: length, n: cols, k: count, a: v, transposeA: true, b: scaled, c, alpha: -1, beta: 1 }),
  );
}

/** c <- Q c, where Q is the product of all panels. `row(i)` is the first row on which panel i acts. */
export function reflectAll(
  team: Team,
  room: ReflectRoom,
  panels: readonly Panel[],
  row: (panel: number) => number,
  c: Block,
  cols: number,
): void {
  for (const [i, panel] of [...panels.entries()].reverse()) {
    reflect(team, room, panel, within(c, row(i), 0), cols, false);
  }
}
