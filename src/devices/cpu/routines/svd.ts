// Singular triplets by the two-stage route: QR if tall, reduction to a band and to bidiagonal form, the vectors of that
// form, and all transforms applied to them in reverse. If values are too close or too small for accurate vectors, both
// factors are orthonormalized at the end, which also completes them beyond the rank of the matrix.
import type { SingularTriplets } from '../../../base/singularTriplets.ts';
import { leadingTriplets, type Triplet } from '../bidiagonalTriplets.ts';
import { Arena, ranges, type Team } from '../team.ts';
import { bandRoom, reduceToBand } from './band.ts';
import { storeVectors, vectorRooms } from './bidiagonalVectors.ts';
import { chaseBulges, chaseRoom, storeBand } from './chase.ts';
import { applyChase, chaseBackRoom } from './chaseBack.ts';
import { panelWidth } from './panel.ts';
import { isTall, normalize, transposeAll } from './prepare.ts';
import { type Block, block } from './product.ts';
import { copyTriangle, factorQr, formQ, type QrRoom, qrPanelWidth, qrRoom } from './qr.ts';
import { joinRoom, reflectAll } from './reflect.ts';

export interface SvdArgs {
  readonly at: number;
  readonly rows: number;
  readonly cols: number;
  readonly rank: number;
  /** `svdRoom` bytes. */
  readonly room: number;
}

function layout({ rows, cols, rank }: Omit<SvdArgs, 'at' | 'room'>, threads: number, base: number) {
  const arena = new Arena(base);
  const m = Math.max(rows, cols);
  const n = Math.min(rows, cols);
  const isQrFirst = isTall(m, n);
  const chase = chaseRoom(arena, n, panelWidth(n, true), threads, true);
  const rooms = {
    m,
    n,
    board: arena.doubles(threads),
    transposed: rows < cols ? block(arena.floats(m * n), n) : undefined,
    qr: isQrFirst ? qrRoom(arena, m, n, threads, true) : undefined,
    triangle: isQrFirst ? block(arena.floats(n * n), n) : undefined,
    band: bandRoom(arena, isQrFirst ? n : m, n, threads, true),
    chase,
    vectors: vectorRooms(arena, n, threads),
    join: joinRoom(arena, Math.max(panelWidth(n, true), isQrFirst ? qrPanelWidth(n) : 0), m, rank),
    tall: block(arena.floats(m * rank), rank),
    flat: block(arena.floats(n * rank), rank),
  };
  // The vectors are back at the band before they are orthonormalized, one factor after the other.
  const [back, tallQr, flatQr] = [new Arena(arena.end), new Arena(arena.end), new Arena(arena.end)];
  return {
    ...rooms,
    back: chaseBackRoom(back, chase, threads),
    tallQr: qrRoom(tallQr, m, rank, threads, true),
    flatQr: qrRoom(flatQr, n, rank, threads, true),
    end: Math.max(back.end, tallQr.end, flatQr.end),
  };
}

/** Bytes of workspace for the SVD of such a matrix. */
export const svdRoom = (rows: number, cols: number, rank: number, threads: number): number =>
  layout({ rows, cols, rank }, threads, 0).end;

/** The `rank` leading triplets, on the leader. */
export function svd(team: Team, args: SvdArgs): SingularTriplets {
  const { at, rows, cols, rank } = args;
  const room = layout(args, team.threads, args.room);
  const { m, n, transposed, qr, triangle, band, chase, back, tall, flat } = room;
  const scale = normalize(team, rows * cols, at, room.board);
  let a: Block = block(at, cols);
  if (transposed) {
    transposeAll(team, rows, cols, a, transposed);
    a = transposed;
  }
  team.passed('prepare');
  if (qr && triangle) {
    factorQr(team, qr, a, (share) => team.report(0.2 * share));
    copyTriangle(team, n, a, triangle);
    a = triangle;
  }
  reduceToBand(team, band, a, (share) => team.report(0.2 + 0.3 * share));
  storeBand(team, chase, a);
  const { diagonal, superdiagonal } = chaseBulges(team, chase, (share) => team.report(0.5 + 0.1 * share));
  team.passed('chase');
  const triplets = leadingTriplets(diagonal, superdiagonal, rank);
  team.passed('values');
  storeVectors(team, room.vectors, triplets, room, rank);
  team.passed('bidiagonal vectors');

  applyChase(team, chase, back, 'left', tall, rank);
  applyChase(team, chase, back, 'right', flat, rank);
  team.passed('chase back');
  team.report(0.7);
  reflectAll(team, room.join, band.kept!.left, band.m, tall, rank);
  reflectAll(team, room.join, band.kept!.right, n, flat, rank);
  if (qr) reflectAll(team, room.join, qr.panels, m, tall, rank);
  team.passed('band back');
  team.report(0.85);
  if (areDoubtful(triplets, rank)) {
    straighten(team, room.tallQr, tall);
    straighten(team, room.flatQr, flat);
    team.passed('orthonormalization');
  }

  const values = Float64Array.from({ length: rank }, (_, k) => (triplets[k]?.value ?? 0) * scale);
  if (team.id !== 0) return { left: new Float32Array(0), values, right: new Float32Array(0) };
  const [left, right] = [tall, flat].map((factor, i) => new Float32Array(team.floats(factor.at, (i ? n : m) * rank)));
  return transposed ? { left: right!, values, right: left! } : { left: left!, values, right: right! };
}

/**
 * Whether the vectors may be less orthogonal than f32 resolves: values are missing, too close to each other, or so far
 * below the first that they do not determine the left vectors.
 */
export function areDoubtful(triplets: readonly Triplet[], rank: number): boolean {
  const top = triplets[0]?.value ?? 0;
  return (
    triplets.length < rank ||
    triplets.some(({ value }, k) => value <= 1e-6 * top || (k > 0 && triplets[k - 1]!.value - value <= 1e-8 * value))
  );
}

/** Makes nearly orthonormal columns orthonormal to working precision, keeping their signs; replaces zero columns. */
function straighten(team: Team, room: QrRoom, a: Block): void {
  const { m, n } = room;
  factorQr(team, room, a, () => {});
  const signs = Float32Array.from({ length: n }, (_, i) =>
    team.floats(a.at + i * (a.ld + 1) * 4, 1)[0]! < 0 ? -1 : 1,
  );
  team.barrier();
  formQ(team, room, a, () => {});
  team.perform(
    ranges(m, Math.max(1, 2 ** 18 / n)).map(({ from, to }) => () => {
      const rows = team.floats(a.at + from * n * 4, (to - from) * n);
      for (let i = 0; i < rows.length; i++) rows[i]! *= signs[i % n]!;
    }),
  );
}
