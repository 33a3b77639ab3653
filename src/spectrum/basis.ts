import type { Random } from '../base/random.ts';
import type { Backend, Matrix } from '../devices/backend.ts';
import { transpose } from './transpose.ts';
import { cholesky, triangularInverse, triangularProduct } from './triangular.ts';

/** Orthogonalisations per block at most. */
const PASS_LIMIT = 5;
/** Basis vectors multiplied at a time, at most. */
const CHUNK_ROWS = 128;
/** A vector is orthogonalised again if less than this fraction of its norm is left. */
const LEFT_OVER = 0.5;
/** Norm of the random perturbation added before: the size of rounding. */
const NOISE = 2 ** -21;

/**
 * Orthonormal vectors on the device. The newest block is held by columns, all blocks by rows in matrices allocated on
 * demand.
 */
export class Basis {
  /** Where blocks are brought to be transposed. */
  private readonly onHost: Float32Array;
  private readonly chunks: { readonly rows: Matrix; readonly shares: Matrix }[] = [];
  private blocks = 0;

  private constructor(
    private readonly backend: Backend,
    private newest: Matrix,
    private spare: Matrix,
    private readonly gram: Matrix,
    private readonly random: Random,
    private readonly chunkRows: number,
  ) {
    this.onHost = new Float32Array(newest.rows * newest.cols);
  }

  /**
   * A basis of blocks of `width` vectors of `length`, probably at most `vectors` of them. `random` supplies directions
   * if those of a block are exhausted.
   * @throws RankscopeError 'too-large', 'engine'
   */
  static async allocate(
    backend: Backend,
    length: number,
    width: number,
    random: Random,
    vectors = CHUNK_ROWS,
  ): Promise<Basis> {
    const taken: Matrix[] = [];
    try {
      for (const rows of [length, length, width]) taken.push(await backend.allocate(rows, width));
    } catch (thrown) {
      for (const matrix of taken) backend.free(matrix);
      throw thrown;
    }
    const [newest, spare, gram] = taken as [Matrix, Matrix, Matrix];
    return new Basis(backend, newest, spare, gram, random, Math.min(CHUNK_ROWS, vectors));
  }

  /** The block that was appended last, length x width. */
  get last(): Matrix {
    return this.newest;
  }

  /** Where the next block is put before it is appended. */
  get incoming(): Matrix {
    return this.spare;
  }

  /** Overwrites the next block. */
  fill(by: (out: Float32Array) => void): Promise<void> {
    return this.backend.upload(this.spare, 0, this.spare.rows, by);
  }

  /** Overwrites the next block with the transpose of a matrix on the device. */
  async fillTransposed(rows: Matrix): Promise<void> {
    const vectors = await this.backend.download(rows, this.onHost);
    await this.fill((out) => transpose(vectors, rows.cols, out));
  }

  /**
   * Makes the next block orthonormal and orthogonal to the basis, adds it to the basis and returns its R (width x
   * width).
   * @param known a triangle whose transpose, times the last block, is a known part of the next block
   */
  async append(known?: Float32Array): Promise<Float32Array> {
    const { cols: width } = this.newest;
    let factor: Float32Array | undefined;
    // Twice is enough (Giraud, Langou, Rozloznik and van den Eshof 2005), and subtracting the known part counts once.
    // More passes are needed if little is left, as when the Krylov space is exhausted: the QR completes the block with
    // vectors that may lie in the basis.
    if (known) await this.takeOut(known);
    this.swap();
    for (let pass = 1; ; pass++) {
      if (pass > 1) await this.perturb();
      const taken = await this.project();
      const triangle = await this.normalize();
      factor = factor ? triangularProduct(triangle, factor, width) : triangle;
      if (this.blocks === 0 || pass === PASS_LIMIT || leftOver(triangle, taken) > LEFT_OVER) break;
    }
    await this.keep();
    return factor;
  }

  /** Basis times `coefficients` (a row per basis vector, `cols` columns): length x cols, row-major. */
  async combined(coefficients: Float32Array, cols: number): Promise<Float32Array> {
    const { backend } = this;
    const out = await backend.allocate(this.newest.rows, cols);
    try {
      for (const [i, { rows }] of this.chunks.entries()) {
        const by = await backend.allocate(rows.rows, cols);
        try {
          const part = coefficients.subarray(i * rows.rows * cols, (i + 1) * rows.rows * cols);
          await backend.upload(by, 0, rows.rows, (into) => {
            into.set(part);
            into.fill(0, part.length);
          });
          await backend.multiply(out, rows, by, { transposeA: true, beta: i === 0 ? 0 : 1 });
        } finally {
          backend.free(by);
        }
      }
      return await backend.download(out);
    } finally {
      backend.free(out);
    }
  }

  free(): void {
    const chunks = this.chunks.flatMap(({ rows, shares }) => [rows, shares]);
    for (const matrix of [this.newest, this.spare, this.gram, ...chunks]) this.backend.free(matrix);
  }

  private async takeOut(known: Float32Array): Promise<void> {
    const { backend, gram } = this;
    await backend.upload(gram, 0, gram.rows, (out) => transpose(known, gram.cols, out));
    await backend.multiply(this.incoming, this.last, gram, { alpha: -1, beta: 1 });
  }

  private swap(): void {
    [this.newest, this.spare] = [this.spare, this.newest];
  }

  private async perturb(): Promise<void> {
    const values = await this.backend.download(this.newest);
    const size = NOISE * Math.sqrt(3 / this.newest.rows);
    await this.backend.upload(this.newest, 0, this.newest.rows, (out) => {
      for (let i = 0; i < out.length; i++) out[i] = values[i]! + size * (2 * this.random.uniform() - 1);
    });
  }

  /** Projects the basis out of the block; returns the squared norm of what was removed from each vector. */
  private async project(): Promise<Float64Array> {
    const { cols: width } = this.newest;
    const taken = new Float64Array(width);
    for (const { rows, shares } of this.chunks) {
      await this.backend.multiply(shares, rows, this.newest);
      await this.backend.multiply(this.newest, rows, shares, { transposeA: true, alpha: -1, beta: 1 });
      const parts = await this.backend.download(shares);
      for (let i = 0; i < parts.length; i++) taken[i % width]! += parts[i]! ** 2;
    }
    return taken;
  }

  /**
   * QR of the block in place; returns R. Uses the Cholesky factor of the Gram matrix, which takes two products, if that
   * is well conditioned (Yamamoto, Nakatsukasa, Yanagisawa and Fukaya 2015), otherwise reflections.
   */
  private async normalize(): Promise<Float32Array> {
    const { backend, gram } = this;
    await backend.multiply(gram, this.newest, this.newest, { transposeA: true });
    const factor = cholesky(await backend.download(gram), gram.cols);
    if (factor) {
      await backend.upload(gram, 0, gram.rows, (out) => triangularInverse(factor, gram.cols, out));
      await backend.multiply(this.spare, this.newest, gram);
      this.swap();
      return Float32Array.from(factor);
    }
    const triangle = await backend.orthonormalize(this.newest);
    try {
      return await backend.download(triangle);
    } finally {
      backend.free(triangle);
    }
  }

  /** Adds the block to the basis. */
  private async keep(): Promise<void> {
    const { rows: length, cols: width } = this.newest;
    const blocks = Math.max(4, Math.floor(this.chunkRows / width));
    if (this.blocks % blocks === 0) await this.addChunk(blocks * width, length, width);
    const vectors = await this.backend.download(this.newest, this.onHost);
    const place = (this.blocks % blocks) * width;
    await this.backend.upload(this.chunks.at(-1)!.rows, place, width, (out) => transpose(vectors, width, out));
    this.blocks += 1;
  }

  private async addChunk(count: number, length: number, width: number): Promise<void> {
    const rows = await this.backend.allocate(count, length);
    try {
      await this.backend.upload(rows, 0, count, (out) => void out.fill(0));
      this.chunks.push({ rows, shares: await this.backend.allocate(count, width) });
    } catch (thrown) {
      this.backend.free(rows);
      throw thrown;
    }
  }
}

/**
 * The smallest fraction of a vector's norm that was left by the projection, which removed `taken` (squared), and the
 * QR.
 */
function leftOver(triangle: Float32Array, taken: Float64Array): number {
  const size = taken.length;
  let least = Number.POSITIVE_INFINITY;
  for (let j = 0; j < size; j++) {
    let squares = taken[j]!;
    for (let i = 0; i <= j; i++) squares += triangle[i * size + j]! ** 2;
    least = Math.min(least, Math.abs(triangle[j * size + j]!) / Math.sqrt(squares));
  }
  return least;
}
