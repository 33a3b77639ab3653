import type { SingularTriplets } from '../../base/singularTriplets.ts';
import { type RoutineOptions, TALL } from '../backend.ts';
import type { Bidiagonal, BidiagonalTriplets } from '../cpu/routines/bidiagonal.ts';
import { type Band, reduceToBand, releaseBand } from './bandReduction.ts';
import { chaseBulges } from './chase.ts';
import { allocateReflectors, applyChase } from './chaseBack.ts';
import type { Context } from './context.ts';
import { type GpuMatrix, whole } from './gpuMatrix.ts';
import { factorQr, qr } from './qr.ts';
import { reflectAll, releaseReflectors } from './reflectors.ts';

type Step = (share: number) => void;

/** The last steps of a decomposition, which are small and full of branches and run on the processor. */
export interface Processor {
  /** All singular values, descending. */
  bidiagonalValues(matrix: Bidiagonal, options: RoutineOptions): Promise<Float64Array>;
  /** The leading triplets. */
  bidiagonalTriplets(matrix: Bidiagonal, rank: number, options: RoutineOptions): Promise<BidiagonalTriplets>;
}

/** All singular values: QR if tall, reduction to a band and to bidiagonal form on the GPU; dqds on the processor. */
export async function singularValues(
  context: Context,
  a: GpuMatrix,
  processor: Processor,
  options: RoutineOptions,
  step: Step,
): Promise<Float64Array> {
  const { tall, scale } = await prepare(context, a);
  let work = tall;
  let band: Band | undefined;
  try {
    if (isTall(tall)) {
      work = await qr(context, tall, false, (share) => step(0.4 * share));
      context.release(tall);
    }
    band = await reduceToBand(context, work, false, (share) => step(0.4 + 0.4 * share));
    const bidiagonal = await chaseBulges(context, band.band, work.cols, (share) => step(0.8 + 0.15 * share));
    const values = await processor.bidiagonalValues(bidiagonal, { signal: options.signal });
    return values.map((value) => value / scale);
  } finally {
    context.release(work);
    if (band) releaseBand(context, band);
  }
}

const isTall = ({ rows, cols }: GpuMatrix): boolean => rows >= TALL * cols;

/**
 * The `rank` leading triplets. The matrix is reduced as for the values, with all reflectors kept; the processor
 * computes the vectors of the bidiagonal matrix, which are cheap and need f64; the GPU applies the reflectors to them.
 */
export async function svd(
  context: Context,
  a: GpuMatrix,
  rank: number,
  processor: Processor,
  options: RoutineOptions,
  step: Step,
): Promise<SingularTriplets> {
  const { tall, scale } = await prepare(context, a);
  const { rows: m, cols: n } = tall;
  const held: (() => void)[] = [];
  const hold = (...matrices: readonly GpuMatrix[]) => held.push(() => context.release(...matrices));
  hold(tall);
  try {
    // What may exceed a binding is allocated before any work is done.
    const left = context.single(m, rank);
    hold(left);
    const right = context.single(n, rank);
    hold(right);
    const kept = allocateReflectors(context, n);
    held.push(() => context.commands.release(...kept.chunks.map(({ buffer }) => buffer)));
    const first = isTall(tall) ? await factorQr(context, tall, true, (share) => step(0.2 * share)) : undefined;
    if (first) {
      hold(first.r);
      held.push(() => releaseReflectors(context, first.reflectors));
    }
    const band = await reduceToBand(context, first?.r ?? tall, true, (share) => step(0.2 + 0.3 * share));
    held.push(() => releaseBand(context, band));
    const bidiagonal = await chaseBulges(context, band.band, n, (share) => step(0.5 + 0.1 * share), kept);
    const triplets = await processor.bidiagonalTriplets(bidiagonal, rank, { signal: options.signal });

    context.commands.clear(left.blocks[0]!.buffer);
    await context.commands.write(left.blocks[0]!.buffer, 0, triplets.left);
    await context.commands.write(right.blocks[0]!.buffer, 0, triplets.right);
    await applyChase(context, kept, 'left', left, (share) => step(0.65 + 0.05 * share));
    await applyChase(context, kept, 'right', right, (share) => step(0.7 + 0.05 * share));
    await reflectAll(context, band.left, left, (share) => step(0.75 + 0.05 * share));
    await reflectAll(context, band.right, right, (share) => step(0.8 + 0.05 * share));
    if (first) await reflectAll(context, first.reflectors, left, (share) => step(0.85 + 0.05 * share));
    const finish = (factor: GpuMatrix, from: number) =>
      triplets.doubtful
        ? straightened(context, factor, (share) => step(from + 0.05 * share))
        : downloadMatrix(context, factor);
    const tallFactor = await finish(left, 0.9);
    const flatFactor = await finish(right, 0.95);
    const values = triplets.values.map((value) => value / scale);
    return a.rows < a.cols
      ? { left: flatFactor, values, right: tallFactor }
      : { left: tallFactor, values, right: flatFactor };
  } finally {
    for (const release of held) release();
  }
}

/** Makes nearly orthonormal columns orthonormal to working precision, keeping their signs; replaces zero columns. */
async function straightened(context: Context, a: GpuMatrix, step: Step): Promise<Float32Array> {
  const r = await qr(context, a, true, step);
  try {
    const triangle = await downloadMatrix(context, r);
    const columns = await downloadMatrix(context, a);
    return columns.map((x, i) => (triangle[(i % a.cols) * (a.cols + 1)]! < 0 ? -x : x));
  } finally {
    context.release(r);
  }
}

/**
 * A copy with at least as many rows as columns, scaled to a largest magnitude near 1, so that squares neither overflow
 * nor vanish.
 */
async function prepare(context: Context, a: GpuMatrix): Promise<{ tall: GpuMatrix; scale: number }> {
  const largest = await context.operations.largest(whole(a));
  const exponent = largest > 0 && Number.isFinite(largest) ? -Math.floor(Math.log2(largest)) : 0;
  const transposed = a.rows < a.cols;
  const tall = transposed ? context.matrix(a.cols, a.rows) : context.matrix(a.rows, a.cols);
  // In two steps, because 2^exponent alone may be outside the range of normal f32.
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

export async function downloadMatrix(context: Context, { rows, cols, blocks }: GpuMatrix): Promise<Float32Array> {
  const out = new Float32Array(rows * cols);
  for (const block of blocks) {
    out.set(new Float32Array(await context.commands.read(block.buffer, 0, block.rows * cols)), block.row * cols);
  }
  return out;
}
