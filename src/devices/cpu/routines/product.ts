import { SYNC } from '../memory.ts';
import { ranges, type Task, type Team } from '../team.ts';

/** A block of a row-major matrix in memory: its address in bytes and its row stride in floats. */
export interface Block {
  readonly at: number;
  readonly ld: number;
}

export const block = (at: number, ld: number): Block => ({ at, ld });
/** The sub-block from (row, col) on. */
export const within = ({ at, ld }: Block, row: number, col: number): Block => ({ at: at + (row * ld + col) * 4, ld });

export interface Product {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly a: Block;
  readonly b: Block;
  readonly c: Block;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  readonly alpha?: number;
  readonly beta?: number;
}

/** Multiplications below which a call into a native library costs more than it saves. */
const SMALL = 2 ** 15;
/** Columns up to which the kernels read rows of A in place, where a BLAS would first pack all of A. */
const THIN = 16;

/** C <- alpha op(A) op(B) + beta C on this thread. */
export function multiplyHere({ kernels, scratch, blas }: Team, p: Product): void {
  const { m, n, k, a, b, c, transposeA = false, transposeB = false, alpha = 1, beta = 0 } = p;
  if (blas && m * n * k >= SMALL && (n > THIN || transposeA)) {
    blas.sgemm(m, n, k, alpha, a.at, a.ld, transposeA, b.at, b.ld, transposeB, beta, c.at, c.ld);
    return;
  }
  kernels.gemm(m, n, k, alpha, a.at, a.ld, +transposeA, b.at, b.ld, +transposeB, beta, c.at, c.ld, scratch);
}

/** Multiplications per task: about 10 ms at 20 GFLOP/s, so that cancelling is quick and no thread waits long. */
const TASK = 1e8;

/** That product as tasks over tiles of C: one thread after the other if the library brings its own threads. */
export function productTasks(team: Team, p: Product): Task[] {
  const tasks = tileTasks(team, p);
  if (team.blas?.threading !== 'library') return tasks;
  return [
    () => {
      for (const task of tasks) if (!team.kernels.askedToStop(SYNC)) task();
    },
  ];
}

function tileTasks(team: Team, p: Product): Task[] {
  const { m, n, k, a, b, c, transposeA = false, transposeB = false } = p;
  const { rows, cols } = tile(m, n, k, team.threads, team.blas ? 2 : 4);
  return ranges(n, cols, 16).flatMap((j) =>
    ranges(m, rows, 6).map((i) => () => {
      multiplyHere(team, {
        ...p,
        m: i.to - i.from,
        n: j.to - j.from,
        a: transposeA ? within(a, 0, i.from) : within(a, i.from, 0),
        b: transposeB ? within(b, j.from, 0) : within(b, 0, j.from),
        c: within(c, i.from, j.from),
      });
    }),
  );
}

/** Nearly square tiles, because both operands are packed for each, and small enough for `parts` per thread. */
function tile(m: number, n: number, k: number, threads: number, parts: number): { rows: number; cols: number } {
  let rows = Math.min(m, 384);
  let cols = Math.min(n, m <= 192 ? 2048 : 512);
  const enough = () => Math.ceil(m / rows) * Math.ceil(n / cols) >= parts * threads;
  while (rows * cols * k > TASK || (!enough() && rows * cols * k > 1e6)) {
    if (cols > rows && cols > 32) cols = Math.ceil(cols / 2);
    else if (rows > 24) rows = Math.ceil(rows / 2);
    else if (cols > 32) cols = Math.ceil(cols / 2);
    else break;
  }
  return { rows, cols };
}
