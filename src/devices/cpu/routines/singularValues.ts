import { dqdsValues } from '../dqds.ts';
import { Arena, type Team } from '../team.ts';
import { bandRoom, reduceToBand } from './band.ts';
import { chaseBulges, chaseRoom, storeBand } from './chase.ts';
import { panelWidth } from './panel.ts';
import { isTall, normalize, transposeAll } from './prepare.ts';
import { type Block, block } from './product.ts';
import { copyTriangle, factorQr, qrRoom } from './qr.ts';

export interface SingularValuesArgs {
  readonly at: number;
  readonly rows: number;
  readonly cols: number;
  /** `singularValuesRoom` bytes. */
  readonly room: number;
}

/** A wide matrix is transposed first; what the rest needs then takes its place if it fits there. */
function layout(rows: number, cols: number, threads: number, at: number, base: number) {
  const arena = new Arena(base);
  const board = arena.doubles(threads);
  const transposed = rows < cols ? block(arena.floats(rows * cols), rows) : undefined;
  const inPlace = new Arena(at);
  const rooms = stageRooms(inPlace, rows, cols, threads);
  const fits = transposed && inPlace.end - at <= rows * cols * 4;
  return { board, transposed, ...(fits ? rooms : stageRooms(arena, rows, cols, threads)), end: arena.end };
}

function stageRooms(arena: Arena, rows: number, cols: number, threads: number) {
  const m = Math.max(rows, cols);
  const n = Math.min(rows, cols);
  const tall = isTall(m, n);
  return {
    n,
    qr: tall ? qrRoom(arena, m, n, threads, false) : undefined,
    triangle: tall ? block(arena.floats(n * n), n) : undefined,
    band: bandRoom(arena, tall ? n : m, n, threads, false),
    chase: chaseRoom(arena, n, panelWidth(n, false), threads, false),
  };
}

/** Bytes of workspace for the singular values of such a matrix. */
export const singularValuesRoom = (rows: number, cols: number, threads: number): number =>
  layout(rows, cols, threads, 0, 0).end;

/** All singular values, on the leader: QR if tall, reduction to a band and to bidiagonal form, dqds. */
export function singularValues(team: Team, { at, rows, cols, room }: SingularValuesArgs): Float64Array {
  const { n, board, transposed, qr, triangle, band, chase } = layout(rows, cols, team.threads, at, room);
  const scale = normalize(team, rows * cols, at, board);
  if (scale === 0 || Number.isNaN(scale)) return new Float64Array(n).fill(scale);

  let a: Block = block(at, cols);
  if (transposed) {
    transposeAll(team, rows, cols, a, transposed);
    a = transposed;
  }
  team.passed('prepare');
  // Progress by operation counts: QR 2 m n^2, band 8/3 n^3; the rest is small.
  const first = qr ? (2 * qr.m) / (2 * qr.m + 2.7 * n) : 0;
  if (qr && triangle) {
    factorQr(team, qr, a, (share) => team.report(first * share));
    copyTriangle(team, n, a, triangle);
    a = triangle;
  }
  const second = first + 0.85 * (1 - first);
  reduceToBand(team, band, a, (share) => team.report(first + (second - first) * share));
  storeBand(team, chase, a);

  const { diagonal, superdiagonal } = chaseBulges(team, chase, (share) =>
    team.report(second + (0.98 - second) * share),
  );
  team.passed('chase');
  if (team.id !== 0) return new Float64Array(0);
  const values = dqdsValues(diagonal, superdiagonal).map((value) => value * scale);
  team.passed('values');
  return values;
}
