import type { Factors } from '../backend.ts';
import { reduceToBand } from './bandReduction.ts';
import type { Context } from './context.ts';
import { type GpuMatrix, whole } from './gpuMatrix.ts';
import { orthogonalizeRows } from './jacobi.ts';
import { qr } from './qr.ts';

type Step = (share: number) => void;

/** From this shape on a QR first is cheaper than reducing the tall matrix itself (Chan 1982). */
const TALL = 1.6;

/** The values of an upper band matrix, on the processor. */
export type BandSolver = (band: Float32Array, n: number) => Promise<Float64Array>;

/** All singular values: QR where tall, reduction to a band on the GPU, the band's values on the processor. */
export async function singularValues(
  context: Context,
  a: GpuMatrix,
  solveBand: BandSolver,
  step: Step,
): Promise<Float64Array> {
  const { tall, scale } = await prepare(context, a);
  let work = tall;
  try {
    if (tall.rows >= TALL * tall.cols) {
      work = await qr(context, tall, false, (share) => step(0.4 * share));
      context.release(tall);
    }
    const band = await reduceToBand(context, work, (share) => step(0.4 + 0.5 * share));
    return (await solveBand(band, work.cols)).map((value) => value / scale);
  } finally {
    context.release(work);
  }
}

/** The `rank` leading triplets: QR, then one-sided Jacobi on its triangle. */
export async function svd(context: Context, a: GpuMatrix, rank: number, step: Step): Promise<Factors> {
  const { tall, scale } = await prepare(context, a);
  const n = tall.cols;
  let r: GpuMatrix | undefined;
  let j: GpuMatrix | undefined;
  try {
    r = await qr(context, tall, true, (share) => step(0.2 * share));
    j = await orthogonalizeRows(context, r, (share) => step(0.2 + 0.7 * share));
    const rows = await fetch(context, r);
    const turned = await fetch(context, j);
    const lengths = Float64Array.from({ length: n }, (_, i) =>
      Math.sqrt(squaredLength(rows.subarray(i * n, (i + 1) * n))),
    );
    const order = [...lengths.keys()].sort((x, y) => lengths[y]! - lengths[x]!).slice(0, rank);
    const pickedJ = Float32Array.from(
      { length: order.length * n },
      (_, i) => turned[order[Math.floor(i / n)]! * n + (i % n)]!,
    );
    const tallFactor = await applyTransposed(context, tall, pickedJ, order.length);
    const wideFactor = await orthonormalColumns(context, rows, lengths, order, n);
    const values = Float64Array.from(order, (i) => lengths[i]! / scale);
    return a.rows < a.cols
      ? { left: wideFactor, values, right: tallFactor }
      : { left: tallFactor, values, right: wideFactor };
  } finally {
    context.release(tall, ...(r ? [r] : []), ...(j ? [j] : []));
  }
}

/** A copy with at least as many rows as columns, scaled so that its largest magnitude is near 1 and no square overflows or vanishes. */
async function prepare(context: Context, a: GpuMatrix): Promise<{ tall: GpuMatrix; scale: number }> {
  const largest = await context.operations.largest(whole(a));
  const exponent = largest > 0 && Number.isFinite(largest) ? -Math.floor(Math.log2(largest)) : 0;
  const transposed = a.rows < a.cols;
  const tall = transposed ? context.matrix(a.cols, a.rows) : context.matrix(a.rows, a.cols);
  // In two steps, because 2^exponent alone may be no normal f32.
  const half = Math.trunc(exponent / 2);
  await context.operations.copy(whole(tall), whole(a), {
    transposed,
    scale: 2 ** half,
  });
  if (exponent === 0) return { tall, scale: 1 };
  const scaled = context.matrix(tall.rows, tall.cols);
  await context.operations.copy(whole(scaled), whole(tall), {
    scale: 2 ** (exponent - half),
  });
  context.release(tall);
  return { tall: scaled, scale: 2 ** exponent };
}

export async function fetch(context: Context, { rows, cols, blocks }: GpuMatrix): Promise<Float32Array> {
  const out = new Float32Array(rows * cols);
  for (const block of blocks) {
    out.set(new Float32Array(await context.commands.read(block.buffer, 0, block.rows * cols)), block.row * cols);
  }
  return out;
}

/** q (m x n) times the transpose of `picked` (rank x n). */
async function applyTransposed(
  context: Context,
  q: GpuMatrix,
  picked: Float32Array,
  rank: number,
): Promise<Float32Array> {
  const selection = context.matrix(rank, q.cols);
  const product = context.matrix(q.rows, rank);
  try {
    await send(context, selection, picked);
    await context.operations.multiply(whole(product), whole(q), whole(selection), { transposeB: true });
    return await fetch(context, product);
  } finally {
    context.release(selection, product);
  }
}

/**
 * The rows `order`, made unit vectors and columns. Rows of length near zero carry no direction; a QR gives them one that is orthogonal to
 * the others, and takes the last rounding from the rest.
 */
async function orthonormalColumns(
  context: Context,
  rows: Float32Array,
  lengths: Float64Array,
  order: readonly number[],
  n: number,
): Promise<Float32Array> {
  const rank = order.length;
  const smallest = 2 ** -23 * (lengths[order[0]!] ?? 0);
  const data = new Float32Array(n * rank);
  order.forEach((row, column) => {
    const length = lengths[row]!;
    if (length > smallest) for (let i = 0; i < n; i++) data[i * rank + column] = rows[row * n + i]! / length;
  });
  const columns = context.matrix(n, rank);
  let r: GpuMatrix | undefined;
  try {
    await send(context, columns, data);
    r = await qr(context, columns, true, () => {});
    const [q, triangle] = [await fetch(context, columns), await fetch(context, r)];
    // A QR may turn a direction round: the diagonal of R tells.
    return q.map((value, i) => (triangle[(i % rank) * (rank + 1)]! < 0 ? -value : value));
  } finally {
    context.release(columns, ...(r ? [r] : []));
  }
}

async function send(context: Context, { cols, blocks }: GpuMatrix, data: Float32Array): Promise<void> {
  for (const { buffer, row, rows } of blocks)
    await context.commands.write(buffer, 0, data.subarray(row * cols, (row + rows) * cols));
}

function squaredLength(vector: Float32Array): number {
  let sum = 0;
  for (const x of vector) sum += x * x;
  return sum;
}
