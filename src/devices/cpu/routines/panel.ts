import { type Arena, ranges, type Task, type Team } from '../team.ts';
import { type Block, block, type Product, productTasks, within } from './product.ts';

/**
 * Columns of a panel, and the bandwidth of the reduced matrix: a multiple of 16. Wider panels make products more
 * efficient, above all those of the ways back of vectors; a wider band makes the chase longer.
 */
export const panelWidth = (n: number, withVectors: boolean): number => (n < (withVectors ? 1280 : 3000) ? 32 : 48);

/** `count` reflectors of `length` entries: the block reflector I - V T V^T (Schreiber and Van Loan 1989). */
export interface Panel {
  /** V^T, count x length: one reflector per row. */
  readonly v: Block;
  readonly count: number;
  readonly length: number;
  /** count x count. */
  readonly t: Block;
  /** Rows of the matrix between the first `count` entries of the reflectors and the others; default 0. */
  readonly gap?: number;
}

/** Entries of the reflectors of a panel that meet rows which lie one behind the other. */
export interface Run {
  /** The first of them. */
  readonly at: number;
  /** The row that it meets, counted from the panel's first row. */
  readonly row: number;
  readonly rows: number;
}

export function runsOf({ count, length, gap = 0 }: Panel): Run[] {
  if (gap === 0) return [{ at: 0, row: 0, rows: length }];
  return [
    { at: 0, row: 0, rows: count },
    { at: count, row: count + gap, rows: length - count },
  ];
}

/** Workspace that all panels share. */
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
 * QR of the panel whose columns are the rows of `v`, which become the reflectors.
 * @param keep is given R before it is cleared: `row(r)` holds R(0..r, r)
 */
export function factorPanel(
  team: Team,
  room: PanelRoom,
  { v, count, length }: Panel,
  keep: (row: (r: number) => Float32Array) => void,
): void {
  const { kernels, threads, id } = team;
  kernels.reflectPanel(v.at, v.ld, count, length, room.tau, room.shared, team.sync, id, threads);
  team.lead(() => {
    keep((r) => team.floats(v.at + r * v.ld * 4, Math.min(r + 1, length)));
    kernels.cleanReflectors(v.at, v.ld, count, length);
  });
}

/** Forms T of a factored panel. */
export function completePanel(team: Team, room: PanelRoom, panel: Panel): void {
  team.perform(productTasks(team, gramProduct(room, panel)));
  team.lead(() => formT(team, room, panel));
}

/** The V^T V of `formT`. */
export function gramProduct(room: PanelRoom, { v, count, length }: Panel): Product {
  const gram = block(room.gram, count);
  return { m: count, n: count, k: length, a: v, b: v, transposeB: true, c: gram };
}

export function formT({ kernels }: Team, room: PanelRoom, { count, t }: Panel): void {
  kernels.formT(count, room.gram, room.tau, t.at, t.ld);
}

/** Tasks that copy the transpose of a rows x cols block to `out`. */
export function transposeTasks({ kernels }: Team, rows: number, cols: number, from: Block, out: Block): Task[] {
  const [short, long] = rows < cols ? [rows, cols] : [cols, rows];
  return ranges(long, Math.max(64, Math.floor(2 ** 15 / Math.max(1, short))), 64).map((part) => () => {
    const [r, c] = rows < cols ? [0, part.from] : [part.from, 0];
    const [height, width] = rows < cols ? [rows, part.to - c] : [part.to - r, cols];
    kernels.transpose(height, width, within(from, r, c).at, from.ld, within(out, c, r).at, out.ld);
  });
}
