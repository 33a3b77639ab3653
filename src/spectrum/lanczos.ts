import { throwIfCancelled } from '../base/errors.ts';
import { seededRandom } from '../base/random.ts';
import type { Backend, Matrix, RoutineOptions } from '../engine/backend.ts';

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
 *    vectors the weights, and |R_s x_s| with the last blocks x_s of its left vectors the residuals.
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
      await backend.multiply(left.block, matrix, right.block, { transposeA: !tall });
      diagonal.push(await left.append());
      throwIfCancelled(signal, 'preview');
      await backend.multiply(right.block, matrix, left.block, { transposeA: tall });
      above.push(await right.append());
      progress?.((step + 1) / (steps + 1));
    }
    const rule = (size: number) => quadrature(backend, diagonal.slice(0, size), above.slice(0, size), probes, signal);
    return [await rule(steps), await rule(steps - 2)];
  } finally {
    left.free();
    right.free();
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
    // Twice is enough (Giraud, Langou, Rozloznik and van den Eshof 2005), and the second time after the QR: where the Krylov space is
    // exhausted, the QR completes the block by vectors that know nothing of the basis.
    await this.#project();
    let factor = await this.#normalize();
    if (this.#count > 0) {
      await this.#project();
      factor = product(await this.#normalize(), factor, this.block.cols);
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

async function quadrature(
  backend: Backend,
  diagonal: readonly Float32Array[],
  above: readonly Float32Array[],
  width: number,
  signal: AbortSignal | undefined,
): Promise<Quadrature> {
  const size = diagonal.length * width;
  const projected = await backend.allocate(size, size);
  try {
    await backend.upload(projected, 0, size, (out) => {
      out.fill(0);
      for (const [step, block] of diagonal.entries()) {
        const place = step * width;
        for (let i = 0; i < width; i++) {
          for (let j = 0; j < width; j++) {
            out[(place + i) * size + place + j] = block[i * width + j]!;
            if (step + 1 < diagonal.length) {
              out[(place + i) * size + place + width + j] = above[step]![j * width + i]!;
            }
          }
        }
      }
    });
    const { left, values, right } = await backend.svd(projected, size, { signal });
    const weights = new Float64Array(size * width);
    for (let k = 0; k < size; k++) for (let i = 0; i < width; i++) weights[k * width + i] = right[i * size + k]! ** 2;
    const last = above.at(-1)!;
    const residuals = values.map((value, k) => {
      let squares = 0;
      for (let i = 0; i < width; i++) {
        let sum = 0;
        for (let j = i; j < width; j++) sum += last[i * width + j]! * left[(size - width + j) * size + k]!;
        squares += sum * sum;
      }
      // The second is the bound from W^T W: a node of 0 is a right vector that W maps to 0, whatever its left one is.
      return Math.min(Math.sqrt(squares), squares ** 0.25 * Math.sqrt(value));
    });
    return { values, weights, probes: width, residuals };
  } finally {
    backend.free(projected);
  }
}
