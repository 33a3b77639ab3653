import type { Factors, RoutineOptions } from '../backend.ts';
import type { Bidiagonal } from '../wasm/routines/bidiagonal.ts';
import { reduceToBand } from './bandReduction.ts';
import { chaseBulges } from './chase.ts';
import type { Context } from './context.ts';
import { type GpuMatrix, whole } from './gpuMatrix.ts';
import { qr } from './qr.ts';

type Step = (share: number) => void;

/** From this shape on a QR first is cheaper than reducing the tall matrix itself (Chan 1982). */
const TALL = 1.6;

/** The last steps of a decomposition, small and full of branches: they run on the processor. */
export interface Processor {
  /** All singular values, descending. */
  bidiagonalValues(matrix: Bidiagonal, options: RoutineOptions): Promise<Float64Array>;
  /** The leading triplets of an n x n matrix. */
  svd(square: Float32Array, n: number, rank: number, options: RoutineOptions): Promise<Factors>;
}

/** All singular values: QR where tall, reduction to a band and on to a bidiagonal matrix on the GPU, its values on the processor. */
export async function singularValues(
  context: Context,
  a: GpuMatrix,
  processor: Processor,
  options: RoutineOptions,
  step: Step,
): Promise<Float64Array> {
  const { tall, scale } = await prepare(context, a);
  let work = tall;
  let band: GPUBuffer | undefined;
  try {
    if (tall.rows >= TALL * tall.cols) {
      work = await qr(context, tall, false, (share) => step(0.4 * share));
      context.release(tall);
    }
    band = await reduceToBand(context, work, (share) => step(0.4 + 0.4 * share));
    const bidiagonal = await chaseBulges(context, band, work.cols, (share) => step(0.8 + 0.15 * share));
    const values = await processor.bidiagonalValues(bidiagonal, { signal: options.signal });
    return values.map((value) => value / scale);
  } finally {
    context.release(work);
    if (band) context.commands.release(band);
  }
}

/** The `rank` leading triplets: QR on the GPU, the triangle's triplets on the processor, Q times its left factor on the GPU. */
export async function svd(
  context: Context,
  a: GpuMatrix,
  rank: number,
  processor: Processor,
  options: RoutineOptions,
  step: Step,
): Promise<Factors> {
  const { tall, scale } = await prepare(context, a);
  let r: GpuMatrix | undefined;
  try {
    r = await qr(context, tall, true, (share) => step(0.5 * share));
    const triangle = await fetch(context, r);
    const inner = await processor.svd(triangle, tall.cols, rank, {
      signal: options.signal,
      progress: (share) => step(0.5 + 0.4 * share),
    });
    const outer = await applyTo(context, tall, inner.left, rank);
    const values = inner.values.map((value) => value / scale);
    return a.rows < a.cols ? { left: inner.right, values, right: outer } : { left: outer, values, right: inner.right };
  } finally {
    context.release(tall, ...(r ? [r] : []));
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

/** q (m x n) times `factor` (n x rank). */
async function applyTo(context: Context, q: GpuMatrix, factor: Float32Array, rank: number): Promise<Float32Array> {
  const right = context.matrix(q.cols, rank);
  const product = context.matrix(q.rows, rank);
  try {
    await send(context, right, factor);
    await context.operations.multiply(whole(product), whole(q), whole(right));
    return await fetch(context, product);
  } finally {
    context.release(right, product);
  }
}

async function send(context: Context, { cols, blocks }: GpuMatrix, data: Float32Array): Promise<void> {
  for (const { buffer, row, rows } of blocks)
    await context.commands.write(buffer, 0, data.subarray(row * cols, (row + rows) * cols));
}
