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
  readonly steps: number;
}

/**
 * Block Golub-Kahan-Lanczos bidiagonalisation of W (on the device) from a random orthonormal block on its shorter side, with full
 * reorthogonalisation (Golub, Luk and Overton 1981), whose projected matrix gives the block Gauss quadrature of W^T W (Golub and Meurant
 * 2010, chapter 6). Working on W and not on W^T W keeps the small values, which squares lose in f32.
 *
 * 1. U_j A_j = W V_j - U U^T W V_j;  2. V_(j+1) R_j = W^T U_j - V V^T W^T U_j;
 * 3. U^T W V is block bidiagonal: A_j on its diagonal, R_j^T above it. Its singular values are the nodes, the first blocks of its right
 *    vectors the weights.
 *
 * Gives the quadratures of `steps` and of two steps less, whose difference tells how far the first has converged.
 */
export async function blockLanczos(
  backend: Backend,
  matrix: Matrix,
  { seed, probes, steps, signal, progress }: LanczosOptions,
): Promise<readonly [Quadrature, Quadrature]> {
  const tall = matrix.rows >= matrix.cols;
  const [long, short] = tall ? [matrix.rows, matrix.cols] : [matrix.cols, matrix.rows];
  const left = await Basis.allocate(backend, long, probes, steps);
  const right = await Basis.allocate(backend, short, probes, steps);
  try {
    const random = seededRandom(seed);
    await backend.upload(right.block, 0, short, (out) => {
      for (let i = 0; i < out.length; i++) out[i] = random.normal();
    });
    await right.append();
    const diagonal: Float32Array[] = [];
    const above: Float32Array[] = [];
    for (let step = 0; step < steps; step++) {
      throwIfCancelled(signal, 'preview');
      await apply(backend, matrix, !tall, right, left);
      diagonal.push(await left.append());
      throwIfCancelled(signal, 'preview');
      await apply(backend, matrix, tall, left, right);
      above.push(await right.append());
      progress?.((step + 1) / (steps + 1));
    }
    const rule = (size: number) => quadrature(diagonal.slice(0, size), above.slice(0, size), probes);
    return [rule(steps), rule(steps - 2)];
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

/** Orthonormal vectors of one side: the newest block as columns, all of them as rows of one matrix, zero where none is yet. */
class Basis {
  readonly #backend: Backend;
  readonly #rows: Matrix;
  readonly #shares: Matrix;
  readonly block: Matrix;
  #count = 0;

  private constructor(backend: Backend, rows: Matrix, shares: Matrix, block: Matrix) {
    this.#backend = backend;
    this.#rows = rows;
    this.#shares = shares;
    this.block = block;
  }

  static async allocate(backend: Backend, length: number, width: number, blocks: number): Promise<Basis> {
    const taken: Matrix[] = [];
    const take = async (rows: number, cols: number) => {
      const matrix = await backend.allocate(rows, cols);
      taken.push(matrix);
      return matrix;
    };
    try {
      const rows = await take(width * blocks, length);
      const basis = new Basis(backend, rows, await take(width * blocks, width), await take(length, width));
      await backend.upload(rows, 0, rows.rows, (out) => void out.fill(0));
      return basis;
    } catch (thrown) {
      for (const matrix of taken) backend.free(matrix);
      throw thrown;
    }
  }

  /** Makes the block orthonormal and orthogonal to all before it, and keeps it while there is room; gives its R (width x width). */
  async append(): Promise<Float32Array> {
    // Twice is enough (Giraud, Langou, Rozloznik and van den Eshof 2005) unless the Krylov space is exhausted: the QR then completes the block
    // by vectors that know nothing of the basis, so the second time comes after it, and again while it takes much away.
    await this.#project();
    let factor = await this.#normalize();
    for (let pass = 0; this.#count > 0 && pass < PASS_LIMIT; pass++) {
      await this.#project();
      const again = await this.#normalize();
      factor = product(again, factor, this.block.cols);
      if (leastDiagonal(again, this.block.cols) > 0.5) break;
    }
    if (this.#count < this.#rows.rows) {
      const vectors = await this.#backend.download(this.block);
      const { cols } = this.block;
      await this.#backend.upload(this.#rows, this.#count, cols, (out) => transpose(vectors, cols, out));
      this.#count += cols;
    }
    return factor;
  }

  /** Takes the parts along the basis out of the block. */
  async #project(): Promise<void> {
    if (this.#count === 0) return;
    await this.#backend.multiply(this.#shares, this.#rows, this.block);
    await this.#backend.multiply(this.block, this.#rows, this.#shares, { transposeA: true, alpha: -1, beta: 1 });
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
    for (const matrix of [this.#rows, this.#shares, this.block]) this.#backend.free(matrix);
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
