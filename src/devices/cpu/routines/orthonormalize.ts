import { Arena, ranges, type Team } from '../team.ts';
import { normalize } from './prepare.ts';
import { block } from './product.ts';
import { copyTriangle, factorQr, formQ, qrRoom } from './qr.ts';

interface QrShape {
  readonly rows: number;
  readonly cols: number;
  readonly keepQ: boolean;
  /** Without Q: whether the first `cols` rows are upper triangular already. */
  readonly onTriangle: boolean;
}

export interface OrthonormalizeArgs extends QrShape {
  readonly at: number;
  /** Address for R (cols x cols). */
  readonly triangle: number;
  readonly room: number;
}

function layout({ rows, cols, keepQ, onTriangle }: QrShape, threads: number, base: number) {
  const arena = new Arena(base);
  const board = arena.doubles(threads);
  return { board, qr: qrRoom(arena, rows, cols, threads, keepQ, onTriangle ? cols : 0), end: arena.end };
}

/** Bytes of workspace for the QR of such a matrix. */
export const orthonormalizeRoom = (shape: QrShape, threads: number): number => layout(shape, threads, 0).end;

/** Thin QR of the matrix at `at`; with `keepQ`, Q overwrites the matrix. */
export function orthonormalize(team: Team, args: OrthonormalizeArgs): void {
  const { at, rows, cols, triangle, keepQ, room } = args;
  const { board, qr } = layout(args, team.threads, room);
  const scale = normalize(team, rows * cols, at, board);
  const a = block(at, cols);
  factorQr(team, qr, a, (share) => team.report(keepQ ? share / 2 : share));
  copyTriangle(team, cols, a, block(triangle, cols));
  if (scale !== 1 && scale !== 0) rescale(team, cols * cols, triangle, scale);
  if (keepQ) formQ(team, qr, a, (share) => team.report(0.5 + share / 2));
}

/** Undoes the scaling of the matrix in R, in two steps because one factor might be outside the range of f32. */
function rescale(team: Team, count: number, at: number, scale: number): void {
  const half = 2 ** Math.trunc(Math.log2(scale) / 2);
  for (const factor of [half, scale / half]) {
    team.perform(
      ranges(count, 2 ** 20, 16).map(
        ({ from, to }) =>
          () =>
            team.kernels.multiplyBy(to - from, factor, at + from * 4),
      ),
    );
  }
}
