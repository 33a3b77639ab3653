import { IN_PLACE, pieceDepth, pieceWidth } from '../blas/inPlace.ts';
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

/**
 * C <- alpha op(A) op(B) + beta C on this thread, beside others: a library that brings its own threads need not be safe
 * to call from several of ours, so that the kernels stand in for it.
 */
export function multiplyHere(team: Team, p: Product): void {
  multiplyWith(team.blas?.threading === 'workers' ? team.blas : undefined, team, p);
}

/** The same without a team, for a product that is too small to share. */
export function multiplyAlone(kernels: Team['kernels'], scratch: number, product: Product): void {
  const { m, n, k, a, b, c, transposeA = false, transposeB = false, alpha = 1, beta = 0 } = asColumn(product);
  kernels.gemm(m, n, k, alpha, a.at, a.ld, +transposeA, b.at, b.ld, +transposeB, beta, c.at, c.ld, scratch);
}

function multiplyWith(blas: Team['blas'], { kernels, scratch }: Team, p: Product): void {
  const { m, n, k, a, b, c, transposeA = false, transposeB = false, alpha = 1, beta = 0 } = p;
  if (blas && m * n * k >= SMALL && (n > THIN || transposeA)) {
    blas.sgemm(m, n, k, alpha, a.at, a.ld, transposeA, b.at, b.ld, transposeB, beta, c.at, c.ld);
    return;
  }
  kernels.gemm(m, n, k, alpha, a.at, a.ld, +transposeA, b.at, b.ld, +transposeB, beta, c.at, c.ld, scratch);
}

/** How products are cut into tasks. */
interface Grain {
  /** Multiplications of a task at most: about 10 ms, so that cancelling is quick and no thread waits long. */
  readonly work: number;
  /** Sides of a tile of C at most. */
  readonly rows: number;
  readonly cols: number;
  /** Tasks per thread at least, unless they become tiny. */
  readonly parts: number;
}

/** The kernels pack both operands for each tile, into buffers of limited size. */
const KERNELS: Grain = { work: 1e8, rows: 384, cols: 512, parts: 4 };
const FLAT: Grain = { ...KERNELS, cols: 2048 };
const BLAS: Grain = { work: 4e8, rows: 1024, cols: 2048, parts: 2 };
/** A library that brings its own threads cuts products itself. */
const LIBRARY: Grain = { work: 4e9, rows: Number.POSITIVE_INFINITY, cols: Number.POSITIVE_INFINITY, parts: 0 };

/** Up to so many rows of C, wide tiles pay. */
const FEW_ROWS = 192;

function grainOf({ blas }: Team, m: number): Grain {
  if (blas) return blas.threading === 'library' ? LIBRARY : BLAS;
  return m <= FEW_ROWS ? FLAT : KERNELS;
}

/** These products as tasks over tiles of C: all of them one task if the library brings its own threads. */
export function productTasks(team: Team, ...products: readonly Product[]): Task[] {
  const tasks = products.flatMap((product) => pieceTasks(team, product) ?? tileTasks(team, asColumn(product)));
  if (team.blas?.threading !== 'library') return tasks;
  return [
    () => {
      for (const task of tasks) if (!team.kernels.askedToStop(team.sync)) task();
    },
  ];
}

/**
 * Up to so many rows or columns of C, a large operand would be copied for few multiplications. Pieces of one that lies
 * across are read with more jumps the narrower they are.
 */
const [FEW, FEW_ACROSS] = [128, 32];

/**
 * The same in pieces that are small enough for a BLAS to multiply in place, or undefined where that does not pay: the
 * small operand must lie with its short rows one behind the other.
 */
function pieceTasks({ blas, threads }: Team, p: Product): Task[] | undefined {
  const { m, n, k, a, b, c, transposeA = false, transposeB = false, alpha = 1, beta = 0 } = p;
  if (blas?.threading !== 'workers' || !blas.multipliesInPlace || transposeB) return undefined;
  const isFlat = m < n;
  const few = Math.min(m, n);
  const isAcross = !isFlat && transposeA;
  if (few > (isAcross ? FEW_ACROSS : FEW) || (isFlat && !transposeA) || m * n * k < IN_PLACE) return undefined;
  const many = Math.max(m, n);
  return ranges(many, Math.min(pieceWidth(few), Math.ceil(many / threads)), 16).map(({ from, to }) => () => {
    const [rows, cols] = isFlat ? [m, to - from] : [to - from, n];
    const [i, j] = isFlat ? [0, from] : [from, 0];
    const out = within(c, i, j);
    for (const depth of ranges(k, pieceDepth(few))) {
      const left = transposeA ? within(a, depth.from, i) : within(a, i, depth.from);
      const right = within(b, depth.from, j);
      const [length, kept] = [depth.to - depth.from, depth.from > 0 ? 1 : beta];
      const operands = [left.at, left.ld, transposeA, right.at, right.ld, false] as const;
      blas.sgemm(rows, cols, length, alpha, ...operands, kept, out.at, out.ld);
    }
  });
}

/** A row x B^T as the column B x^T: for that, the kernels read B in place instead of packing all of it. */
function asColumn(p: Product): Product {
  const { m, n, a, b, c, transposeA, transposeB } = p;
  if (m !== 1 || n === 1 || transposeA || !transposeB) return p;
  return { ...p, m: n, n: 1, a: b, b: a, c: block(c.at, 1), transposeA: false };
}

function tileTasks(team: Team, p: Product): Task[] {
  const { m, n, k, a, b, c, transposeA = false, transposeB = false } = p;
  const { rows, cols } = tile(m, n, k, team.threads, grainOf(team, m));
  return ranges(n, cols, 16).flatMap((j) =>
    ranges(m, rows, 6).map((i) => () => {
      multiplyWith(team.blas, team, {
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

/**
 * C <- A B^T for few rows of A and B and a large depth k, of which each thread takes a part, or a library all.
 * @param parts address of threads x m x n floats
 */
export function multiplyDeep(team: Team, { m, n, k, a, b, c }: Product, parts: number): void {
  const callers = team.blas?.threading === 'library' ? 1 : team.threads;
  const depths = ranges(k, Math.ceil(k / callers), 16);
  const part = (i: number) => block(parts + i * m * n * 4, n);
  team.perform(
    depths.map(({ from, to }, i) => () => {
      const here = { m, n, k: to - from, a: within(a, 0, from), b: within(b, 0, from), c: part(i) };
      multiplyWith(team.blas, team, { ...here, transposeB: true });
    }),
  );
  team.lead(() => {
    for (let i = 0; i < m; i++) {
      const row = team.floats(within(c, i, 0).at, n).fill(0);
      for (let p = 0; p < depths.length; p++) {
        const values = team.floats(within(part(p), i, 0).at, n);
        for (let j = 0; j < n; j++) row[j]! += values[j]!;
      }
    }
  });
}

/** Nearly square tiles, because both operands are packed for each, and small enough for all threads to have some. */
function tile(
  m: number,
  n: number,
  k: number,
  threads: number,
  { work, rows: mostRows, cols: mostCols, parts }: Grain,
): { rows: number; cols: number } {
  let rows = Math.min(m, mostRows);
  let cols = Math.min(n, mostCols);
  const enough = () => Math.ceil(m / rows) * Math.ceil(n / cols) >= parts * threads;
  while (rows * cols * k > work || (!enough() && rows * cols * k > 1e6)) {
    if (cols > rows && cols > 32) cols = Math.ceil(cols / 2);
    else if (rows > 24) rows = Math.ceil(rows / 2);
    else if (cols > 32) cols = Math.ceil(cols / 2);
    else break;
  }
  return { rows, cols };
}
