import { throwIfCancelled } from '../base/errors.ts';
import { seededRandom } from '../base/random.ts';
import type { Backend, Matrix, RoutineOptions } from '../engine/backend.ts';
import { symmetricEigen } from './symmetricEigen.ts';

/** Orthogonalisations of one block after the first; two in a row are the rule where anything is left to find. */
const PASS_LIMIT = 4;

/** The nodes and weights of a quadrature for the distribution of singular values. */
export interface Quadrature {
  /** Ritz values, descending. */
  readonly values: Float64Array;
  /** weights[k * probes + i]: squared share of node k in probe i; over all nodes each probe's shares sum up to 1. */
  readonly weights: Float64Array;
  readonly probes: number;
  /** A singular value lies within this distance of each node. */
  readonly residuals: Float64Array;
}

export interface LanczosOptions extends RoutineOptions {
  readonly seed: number;
  readonly probes: number;
  /** At most so many steps. */
  readonly steps: number;
  /** Asked now and then whether these quadratures will do; the first is the finer one. */
  readonly enough?: (rules: Quadratures) => boolean;
}

/** The quadrature of all steps made, and that of three quarters of them: their difference tells how far the first has converged. */
export type Quadratures = readonly [Quadrature, Quadrature];

/** Steps before the first time that `enough` is asked, and between the times. */
const [FIRST_STEPS, MORE_STEPS] = [12, 4];
/** Blocks of a basis that are multiplied at a time. */
const CHUNK = 8;

/**
 * Block Golub-Kahan-Lanczos bidiagonalisation of W (on the device) from a random orthonormal block on its shorter side, with full
 * reorthogonalisation (Golub, Luk and Overton 1981), whose projected matrix gives the block Gauss quadrature of W^T W (Golub and Meurant
 * 2010, chapter 6). Working on W and not on W^T W keeps the small values, which squares lose in f32.
 *
 * 1. U_j A_j = W V_j - U U^T W V_j;  2. V_(j+1) R_j = W^T U_j - V V^T W^T U_j;
 * 3. U^T W V is block bidiagonal: A_j on its diagonal, R_j^T above it. Its singular values are the nodes, the first blocks of its right
 *    vectors the weights.

 */
export async function blockLanczos(
  backend: Backend,
  matrix: Matrix,
  { seed, probes, steps, enough, signal, progress }: LanczosOptions,
): Promise<Quadratures> {
  const tall = matrix.rows >= matrix.cols;
  const [long, short] = tall ? [matrix.rows, matrix.cols] : [matrix.cols, matrix.rows];
  const left = await Basis.allocate(backend, long, probes);
  const right = await Basis.allocate(backend, short, probes);
  try {
    const random = seededRandom(seed);
    await backend.upload(right.block, 0, short, (out) => {
      for (let i = 0; i < out.length; i++) out[i] = random.normal();
    });
    await right.append();
    const diagonal: Float32Array[] = [];
    const above: Float32Array[] = [];
    const rule = (size: number) => quadrature(diagonal.slice(0, size), above.slice(0, size), probes);
    for (let step = 1; ; step++) {
      throwIfCancelled(signal, 'preview');
      await apply(backend, matrix, !tall, right, left);
      diagonal.push(await left.append());
      throwIfCancelled(signal, 'preview');
      await apply(backend, matrix, tall, left, right);
      above.push(await right.append());
      progress?.(step / (steps + 1));
      const due = step >= FIRST_STEPS && (step - FIRST_STEPS) % MORE_STEPS === 0;
      if (step < steps && !(due && enough)) continue;
      const rules = [rule(step), rule(Math.max(1, Math.floor((3 * step) / 4)))] as const;
      if (enough?.(rules) || step === steps) return rules;
    }
  } finally {
    left.free();
    right.free();
  }
}

/** to = W from, or W^T from, in its newest block. */
async function apply(backend: Backend, matrix: Matrix, transposed: boolean, from: Basis, to: Basis): Promise<void> {
  if (!transposed) return backend.multiply(to.block, matrix, from.block);
  // (from^T W)^T: engines read W along its rows, which is up to three times as fast as W^T from; turning the small block costs nothing.
  const turned = await backend.allocate(to.block.cols, to.block.rows);
  try {
    await backend.multiply(turned, from.block, matrix, { transposeA: true });
    const vectors = await backend.download(turned);
    await backend.upload(to.block, 0, to.block.rows, (out) => transpose(vectors, turned.cols, out));
  } finally {
    backend.free(turned);
  }
}

/** Orthonormal vectors of one side: the newest block as columns, all of them as rows of matrices that are taken as they are needed. */
class Basis {
  readonly #backend: Backend;
  readonly #chunks: { readonly rows: Matrix; readonly shares: Matrix }[] = [];
  readonly block: Matrix;
  #blocks = 0;

  private constructor(backend: Backend, block: Matrix) {
    this.#backend = backend;
    this.block = block;
  }

  static async allocate(backend: Backend, length: number, width: number): Promise<Basis> {
    return new Basis(backend, await backend.allocate(length, width));
  }

  /** Makes the block orthonormal and orthogonal to all before it, and keeps it; gives its R (width x width). */
  async append(): Promise<Float32Array> {
    // Twice is enough (Giraud, Langou, Rozloznik and van den Eshof 2005) unless the Krylov space is exhausted: the QR then completes the block
    // by vectors that know nothing of the basis, so the second time comes after it, and again while it takes much away.
    await this.#project();
    let factor = await this.#normalize();
    for (let pass = 0; this.#blocks > 0 && pass < PASS_LIMIT; pass++) {
      await this.#project();
      const again = await this.#normalize();
      factor = product(again, factor, this.block.cols);
      if (leastDiagonal(again, this.block.cols) > 0.5) break;
    }
    const { rows: length, cols: width } = this.block;
    if (this.#blocks % CHUNK === 0) await this.#addChunk(length, width);
    const vectors = await this.#backend.download(this.block);
    const place = (this.#blocks % CHUNK) * width;
    await this.#backend.upload(this.#chunks.at(-1)!.rows, place, width, (out) => transpose(vectors, width, out));
    this.#blocks += 1;
    return factor;
  }

  async #addChunk(length: number, width: number): Promise<void> {
    const rows = await this.#backend.allocate(CHUNK * width, length);
    try {
      await this.#backend.upload(rows, 0, rows.rows, (out) => void out.fill(0));
      this.#chunks.push({ rows, shares: await this.#backend.allocate(CHUNK * width, width) });
    } catch (thrown) {
      this.#backend.free(rows);
      throw thrown;
    }
  }

  /** Takes the parts along the basis out of the block. */
  async #project(): Promise<void> {
    for (const { rows, shares } of this.#chunks) {
      await this.#backend.multiply(shares, rows, this.block);
      await this.#backend.multiply(this.block, rows, shares, { transposeA: true, alpha: -1, beta: 1 });
    }
  }

  async #normalize(): Promise<Float32Array> {
    const factor = await this.#backend.orthonormalize(this.block);
    try {
      return await this.#backend.download(factor);
    } finally {
      this.#backend.free(factor);
    }
  }

  free(): void {
    for (const matrix of [this.block, ...this.#chunks.flatMap(({ rows, shares }) => [rows, shares])]) {
      this.#backend.free(matrix);
    }
  }
}

function transpose(vectors: Float32Array, width: number, out: Float32Array): void {
  const length = vectors.length / width;
  for (let i = 0; i < length; i++) for (let j = 0; j < width; j++) out[j * length + i] = vectors[i * width + j]!;
}

function leastDiagonal(triangle: Float32Array, size: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < size; i++) least = Math.min(least, Math.abs(triangle[i * size + i]!));
  return least;
}

/** The product of two upper triangular matrices. */
function product(a: Float32Array, b: Float32Array, size: number): Float32Array {
  const out = new Float32Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = i; j < size; j++) {
      let sum = 0;
      for (let k = i; k <= j; k++) sum += a[i * size + k]! * b[k * size + j]!;
      out[i * size + j] = sum;
    }
  }
  return out;
}

/** The nodes and weights from the blocks A_j and R_j. Small, and done in f64, where squaring the projected matrix loses nothing of it. */
function quadrature(diagonal: readonly Float32Array[], above: readonly Float32Array[], width: number): Quadrature {
  const size = diagonal.length * width;
  const gram = squared(diagonal, above, width);
  const first = Array.from({ length: width }, (_, i) => i);
  const eigen = symmetricEigen(gram, size, [...first, ...first.map((i) => size - width + i)]);
  const order = Array.from(eigen.values.keys()).sort((one, other) => eigen.values[other]! - eigen.values[one]!);
  const values = Float64Array.from(order, (k) => Math.sqrt(Math.max(0, eigen.values[k]!)));
  const weights = new Float64Array(size * width);
  for (const [place, k] of order.entries()) {
    for (let i = 0; i < width; i++) weights[place * width + i] = eigen.rows[i]![k]! ** 2;
  }
  // |W^T W v - sigma^2 v| = |R_s A_s y_s| with the last block y_s of the node's right vector; divided by sigma it bounds the error of sigma,
  // and its root does where sigma vanishes.
  const last = product(above.at(-1)!, diagonal.at(-1)!, width);
  const residuals = values.map((value, place) => {
    let squares = 0;
    for (let i = 0; i < width; i++) {
      let sum = 0;
      for (let j = i; j < width; j++) sum += last[i * width + j]! * eigen.rows[width + j]![order[place]!]!;
      squares += sum * sum;
    }
    return Math.min(Math.sqrt(squares) / Math.max(value, Number.MIN_VALUE), squares ** 0.25);
  });
  return { values, weights, probes: width, residuals };
}

/** B^T B of the block bidiagonal B with A_j on its diagonal and R_j^T above it. */
function squared(diagonal: readonly Float32Array[], above: readonly Float32Array[], width: number): Float64Array {
  const size = diagonal.length * width;
  const out = new Float64Array(size * size);
  const add = (row: number, col: number, entry: (i: number, j: number, k: number) => number) => {
    for (let i = 0; i < width; i++) {
      for (let j = 0; j < width; j++) {
        let sum = 0;
        for (let k = 0; k < width; k++) sum += entry(i, j, k);
        out[(row * width + i) * size + col * width + j]! += sum;
      }
    }
  };
  for (const [step, a] of diagonal.entries()) {
    add(step, step, (i, j, k) => a[k * width + i]! * a[k * width + j]!);
    if (step + 1 === diagonal.length) break;
    const r = above[step]!;
    add(step + 1, step + 1, (i, j, k) => r[i * width + k]! * r[j * width + k]!);
    add(step + 1, step, (i, j, k) => r[i * width + k]! * a[k * width + j]!);
    add(step, step + 1, (i, j, k) => a[k * width + i]! * r[j * width + k]!);
  }
  return out;
}
