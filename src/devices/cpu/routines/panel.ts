import { SYNC } from '../memory.ts';
import { type Arena, ranges, type Task, type Team } from '../team.ts';
import { type Block, block, productTasks } from './product.ts';

/**
 * Columns of a panel, and the bandwidth of the reduced matrix: a multiple of 16. Wider panels make better products, a wider band more
 * work for the chase.
 */
export const panelWidth = (n: number): number => (n < 1280 ? 32 : 48);

/** Columns of a panel where no chase follows, so that only the products count. */
export const qrPanelWidth = (n: number): number => (n < 2048 ? panelWidth(n) : 96);

/** `count` reflectors of `length` entries, I - V T V^T as a whole. */
export interface Panel {
  /** V^T: count x length, a reflector in each row. */
  readonly v: Block;
  readonly count: number;
  readonly length: number;
  /** count x count. */
  readonly t: Block;
}

/** Room that factoring panels needs once for all of them. */
export interface PanelRoom {
  readonly width: number;
  readonly tau: number;
  readonly shared: number;
  readonly gram: number;
}

export function panelRoom(arena: Arena, width: number, threads: number): PanelRoom {
  return {
    width,
    tau: arena.floats(width),
    shared: arena.doubles(2 * (threads + 1) * width),
    gram: arena.floats(width * width),
  };
}

/**
 * QR of the panel whose columns lie in the rows of `v`; these become the reflectors.
 * @param keep gets R before it is cleared away: `row(r)` holds R(0..r, r)
 */
export function factorPanel(
  team: Team,
  room: PanelRoom,
  { v, count, length }: Panel,
  keep: (row: (r: number) => Float32Array) => void,
): void {
  const { kernels, threads, id } = team;
  kernels.reflectPanel(v.at, v.ld, count, length, room.tau, room.shared, SYNC, id, threads);
  team.lead(() => {
    keep((r) => team.floats(v.at + r * v.ld * 4, Math.min(r + 1, length)));
    kernels.cleanReflectors(v.at, v.ld, count, length);
  });
}

/** Forms T of a panel whose reflectors are there. */
export function completePanel(team: Team, room: PanelRoom, panel: Panel): void {
  team.perform(gramTasks(team, room, panel));
  team.lead(() => formT(team, room, panel));
}

/** The products V^T V that `formT` needs, as tasks that may run beside others. */
export function gramTasks(team: Team, room: PanelRoom, { v, count, length }: Panel): Task[] {
  const gram = block(room.gram, count);
  return productTasks(team, { m: count, n: count, k: length, a: v, b: v, transposeB: true, c: gram });
}

export function formT({ kernels }: Team, room: PanelRoom, { count, t }: Panel): void {
  kernels.formT(count, room.gram, room.tau, t.at);
}

/** Tasks that copy the transpose of a rows x cols block to `out`. */
export function transposeTasks({ kernels }: Team, rows: number, cols: number, from: Block, out: Block): Task[] {
  const size = Math.max(64, Math.floor(2 ** 18 / Math.max(1, cols)));
  return ranges(rows, size, 64).map((r) => () => {
    kernels.transpose(r.to - r.from, cols, from.at + r.from * from.ld * 4, from.ld, out.at + r.from * 4, out.ld);
  });
}
