// Singular triplets: QR, then one-sided Jacobi on R (Demmel and Veselic 1992: small values come out to high relative accuracy), then both
// factors are made orthonormal anew, which also completes them where the matrix has no rank for it.
import { Arena, ranges, type Task, type Team } from '../team.ts';
import { normalize, transposeAll } from './prepare.ts';
import { type Block, block } from './product.ts';
import { copyTriangle, factorQr, formQ, type QrRoom, qrRoom, reflectAll, setIdentity } from './qr.ts';

export interface SvdArgs {
  readonly at: number;
  readonly rows: number;
  readonly cols: number;
  readonly rank: number;
  readonly room: number;
}

export interface SvdResult {
  readonly left: Float32Array;
  readonly values: Float64Array;
  readonly right: Float32Array;
}

const MAX_SWEEPS = 30;
const TOLERANCE = 2 ** -22;

function layout({ rows, cols, rank }: Omit<SvdArgs, 'at' | 'room'>, threads: number, base: number) {
  const arena = new Arena(base);
  const m = Math.max(rows, cols);
  const n = Math.min(rows, cols);
  return {
    m,
    n,
    board: arena.doubles(threads),
    transposed: rows < cols ? block(arena.floats(m * n), n) : undefined,
    qr: qrRoom(arena, m, n, threads, true),
    triangle: block(arena.floats(n * n), n),
    rotations: block(arena.floats(n * n), n),
    tall: block(arena.floats(m * rank), rank),
    flat: block(arena.floats(n * rank), rank),
    tallQr: qrRoom(arena, m, rank, threads, true),
    flatQr: qrRoom(arena, n, rank, threads, true),
    end: arena.end,
  };
}

export const svdRoom = (rows: number, cols: number, rank: number, threads: number): number =>
  layout({ rows, cols, rank }, threads, 0).end;

export function svd(team: Team, args: SvdArgs): SvdResult {
  const { at, rows, cols, rank } = args;
  const { m, n, board, transposed, qr, triangle, rotations, tall, flat, tallQr, flatQr } = layout(
    args,
    team.threads,
    args.room,
  );
  const scale = normalize(team, rows * cols, at, board);
  let a: Block = block(at, cols);
  if (transposed) {
    transposeAll(team, rows, cols, a, transposed);
    a = transposed;
  }
  factorQr(team, qr, a, (share) => team.report(0.1 * share));
  copyTriangle(team, n, a, triangle);
  setIdentity(team, n, n, rotations);
  diagonalize(team, n, triangle, rotations, board);

  // J R = S V^T: the rows of R are now values times right vectors, the rows of J left vectors of R.
  const norms = rowNorms(team, n, triangle);
  const order = Array.from(norms.keys()).sort((i, j) => norms[j]! - norms[i]!);
  team.lead(() => {
    const tallOut = team.floats(tall.at, m * rank).fill(0);
    const flatOut = team.floats(flat.at, n * rank);
    for (let k = 0; k < rank; k++) {
      const i = order[k]!;
      const from = team.floats(triangle.at + i * n * 4, n);
      const left = team.floats(rotations.at + i * n * 4, n);
      const inverse = norms[i]! > 0 ? 1 / norms[i]! : 0;
      for (let j = 0; j < n; j++) {
        flatOut[j * rank + k] = from[j]! * inverse;
        tallOut[j * rank + k] = left[j]!;
      }
    }
  });
  reflectAll(team, qr, tall, rank);
  straighten(team, tallQr, tall);
  straighten(team, flatQr, flat);
  const values = Float64Array.from(order.slice(0, rank), (i) => norms[i]! * scale);
  const tallFactor = team.floats(tall.at, m * rank);
  const flatFactor = team.floats(flat.at, n * rank);
  if (team.id !== 0) return { left: new Float32Array(0), values, right: new Float32Array(0) };
  const [left, right] = transposed ? [flatFactor, tallFactor] : [tallFactor, flatFactor];
  return { left: new Float32Array(left), values, right: new Float32Array(right) };
}

/** Sweeps over all pairs of rows, each round's pairs disjoint (a round-robin tournament), until one sweep rotates nothing. */
function diagonalize(team: Team, n: number, a: Block, j: Block, board: number): void {
  const players = n + (n % 2);
  const counts = team.doubles(board, team.threads);
  for (let sweep = 0; sweep < MAX_SWEEPS && n > 1; sweep++) {
    let rotated = 0;
    for (let round = 0; round < players - 1; round++) {
      const tasks = ranges(players / 2, Math.max(4, Math.ceil(players / 16))).map(
        ({ from, to }): Task =>
          () => {
            for (let i = from; i < to; i++) {
              const x = i === 0 ? players - 1 : (round + i) % (players - 1);
              const y = (round + players - 1 - i) % (players - 1);
              const [low, high] = x < y ? [x, y] : [y, x];
              if (high >= n) continue;
              const row = (b: Block, r: number) => b.at + r * b.ld * 4;
              rotated += team.kernels.rotateRows(n, row(a, low), row(a, high), n, row(j, low), row(j, high), TOLERANCE);
            }
          },
      );
      team.perform(tasks);
    }
    counts[team.id] = rotated;
    team.barrier();
    const total = counts.reduce((sum, count) => sum + count, 0);
    team.report(0.1 + 0.8 * Math.min(1, sweep / 10));
    team.barrier();
    if (total === 0) return;
  }
}

function rowNorms(team: Team, n: number, a: Block): Float64Array {
  return Float64Array.from({ length: n }, (_, i) => {
    let sum = 0;
    for (const x of team.floats(a.at + i * a.ld * 4, n)) sum += x * x;
    return Math.sqrt(sum);
  });
}

/** Nearly orthonormal columns made orthonormal to working precision, with their signs kept; zero columns are filled in. */
function straighten(team: Team, room: QrRoom, a: Block): void {
  const { m, n } = room;
  factorQr(team, room, a, () => {});
  const signs = Array.from({ length: n }, (_, i) => (team.floats(a.at + i * (a.ld + 1) * 4, 1)[0]! < 0 ? -1 : 1));
  team.barrier();
  formQ(team, room, a, () => {});
  team.perform(
    ranges(m, Math.max(1, 2 ** 18 / n)).map(({ from, to }) => () => {
      const rows = team.floats(a.at + from * n * 4, (to - from) * n);
      for (let i = 0; i < rows.length; i++) rows[i]! *= signs[i % n]!;
    }),
  );
}
