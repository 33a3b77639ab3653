// Singular triplets by the two-stage route: QR (if tall), band, bidiagonal, vectors of that, and all transforms applied backwards to them.
// Where values are too close or too small for that, both factors are made orthonormal once more at the end, which also completes them where the
// matrix has no rank for it.
import type { SingularTriplets } from '../../../base/singularTriplets.ts';
import { leadingTriplets, type Triplet, VectorSolver } from '../bidiagonalVectors.ts';
import { Arena, ranges, type Team } from '../team.ts';
import { bandRoom, reduceToBand } from './band.ts';
import { chaseBulges, chaseRoom, storeBand } from './chase.ts';
import { applyChase, chaseBackRoom } from './chaseBack.ts';
import { panelWidth, qrPanelWidth } from './panel.ts';
import { isTall, normalize, transposeAll } from './prepare.ts';
import { type Block, block } from './product.ts';
import { copyTriangle, factorQr, formQ, type QrRoom, qrRoom } from './qr.ts';
import { reflectAll, reflectRoom } from './reflect.ts';

export interface SvdArgs {
  readonly at: number;
  readonly rows: number;
  readonly cols: number;
  readonly rank: number;
  /** `svdRoom` bytes. */
  readonly room: number;
}

/** Vectors that a thread finds before it writes them: a whole cache line of columns. */
const CHUNK = 16;

function layout({ rows, cols, rank }: Omit<SvdArgs, 'at' | 'room'>, threads: number, base: number) {
  const arena = new Arena(base);
  const m = Math.max(rows, cols);
  const n = Math.min(rows, cols);
  const isQrFirst = isTall(m, n);
  const chase = chaseRoom(arena, n, panelWidth(n), threads, true);
  return {
    m,
    n,
    board: arena.doubles(threads),
    transposed: rows < cols ? block(arena.floats(m * n), n) : undefined,
    qr: isQrFirst ? qrRoom(arena, m, n, threads, true) : undefined,
    triangle: isQrFirst ? block(arena.floats(n * n), n) : undefined,
    band: bandRoom(arena, isQrFirst ? n : m, n, threads, true),
    chase,
    back: chaseBackRoom(arena, chase, threads),
    reflect: reflectRoom(arena, Math.max(panelWidth(n), qrPanelWidth(n)), rank),
    tall: block(arena.floats(m * rank), rank),
    flat: block(arena.floats(n * rank), rank),
    tallQr: qrRoom(arena, m, rank, threads, true),
    flatQr: qrRoom(arena, n, rank, threads, true),
    end: arena.end,
  };
}

/** Bytes of workspace that `svd` of such a matrix takes. */
export const svdRoom = (rows: number, cols: number, rank: number, threads: number): number =>
  layout({ rows, cols, rank }, threads, 0).end;

/** The `rank` leading triplets; the leader's result counts. */
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
  if (qr && triangle) {
    factorQr(team, qr, a, (share) => team.report(0.2 * share));
    copyTriangle(team, n, a, triangle);
    a = triangle;
  }
  reduceToBand(team, band, a, (share) => team.report(0.2 + 0.3 * share));
  storeBand(team, chase, a);
  const { diagonal, superdiagonal } = chaseBulges(team, chase, (share) => team.report(0.5 + 0.1 * share));
  const triplets = leadingTriplets(diagonal, superdiagonal, rank);
  storeVectors(team, triplets, room, rank);

  applyChase(team, chase, back, 'left', tall, rank);
  applyChase(team, chase, back, 'right', flat, rank);
  team.report(0.7);
  reflectAll(team, room.reflect, band.kept!.left, (i) => i * band.width, tall, rank);
  reflectAll(team, room.reflect, band.kept!.right, (i) => (i + 1) * band.width, flat, rank);
  if (qr) reflectAll(team, room.reflect, qr.panels, (i) => i * qr.width, tall, rank);
  team.report(0.85);
  if (areDoubtful(triplets, rank)) {
    straighten(team, room.tallQr, tall);
    straighten(team, room.flatQr, flat);
  }

  const values = Float64Array.from({ length: rank }, (_, k) => (triplets[k]?.value ?? 0) * scale);
  if (team.id !== 0) return { left: new Float32Array(0), values, right: new Float32Array(0) };
  const [left, right] = [tall, flat].map((factor, i) => new Float32Array(team.floats(factor.at, (i ? n : m) * rank)));
  return transposed ? { left: right!, values, right: left! } : { left: left!, values, right: right! };
}

/** Writes the vectors of the bidiagonal matrix as columns of `tall` (m x rank, zero below row n) and `flat` (n x rank). */
export function storeVectors(
  team: Team,
  triplets: readonly Triplet[],
  { m, n, tall, flat }: { m: number; n: number; tall: Block; flat: Block },
  rank: number,
): void {
  const solver = new VectorSolver(n);
  const lefts = new Float32Array(CHUNK * n);
  const rights = new Float32Array(CHUNK * n);
  team.lead(() => {
    team.kernels.clear(m, rank, tall.at, rank);
    team.kernels.clear(n, rank, flat.at, rank);
  });
  team.perform(
    ranges(triplets.length, CHUNK).map(({ from, to }) => () => {
      for (let k = from; k < to; k++) {
        solver.solve(triplets[k]!);
        lefts.set(solver.left, (k - from) * n);
        rights.set(solver.right, (k - from) * n);
      }
      const left = team.floats(tall.at, n * rank);
      const right = team.floats(flat.at, n * rank);
      for (let i = 0; i < n; i++) {
        for (let k = from; k < to; k++) {
          left[i * rank + k] = normal(lefts[(k - from) * n + i]!);
          right[i * rank + k] = normal(rights[(k - from) * n + i]!);
        }
      }
    }),
  );
}

/** Bidiagonal vectors fall off into numbers that are subnormal in f32, and these are some ten times slower to multiply: to zero with them. */
const normal = (x: number) => (Math.abs(x) < 2 ** -60 ? 0 : x);

/**
 * Whether the vectors may be less orthogonal than f32 can tell: values closer to each other than this, or so small beside the first that left
 * vectors are not determined by them.
 */
export function areDoubtful(triplets: readonly Triplet[], rank: number): boolean {
  const top = triplets[0]?.value ?? 0;
  return (
    triplets.length < rank ||
    triplets.some(({ value }, k) => value <= 1e-6 * top || (k > 0 && triplets[k - 1]!.value - value <= 1e-8 * value))
  );
}

/** Nearly orthonormal columns made orthonormal to working precision, with their signs kept; zero columns are filled in. */
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
