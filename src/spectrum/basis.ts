import type { Random } from '../base/random.ts';
import type { Backend, Matrix } from '../devices/backend.ts';
import { transpose } from './transpose.ts';
import { cholesky, triangularInverse, triangularProduct } from './triangular.ts';

/** Orthogonalisations of one block at most. */
const PASS_LIMIT = 5;
/** Rows of the basis that are multiplied at a time. */
const CHUNK_ROWS = 128;
/** A vector that orthogonalisation leaves less of than this share is orthogonalised again. */
const LEFT_OVER = 0.5;
/** Norm of what is added to each vector before: rounding, but in a random direction. */
const NOISE = 2 ** -21;

/** Orthonormal vectors on the device: the newest block as columns, all of them as rows of matrices that are taken as they are needed. */
export class Basis {
  private readonly chunks: { readonly rows: Matrix; readonly shares: Matrix }[] = [];
  private blocks = 0;

  private constructor(
    private readonly backend: Backend,
    private newest: Matrix,
    private spare: Matrix,
    private readonly gram: Matrix,
    private readonly random: Random,
  ) {}

  /** Of blocks of `width` vectors of `length`; `random` supplies directions where a block has none left. @throws RankscopeError 'too-large', 'engine' */
  static async allocate(backend: Backend, length: number, width: number, random: Random): Promise<Basis> {
    const taken: Matrix[] = [];
    try {
      for (const rows of [length, length, width]) taken.push(await backend.allocate(rows, width));
    } catch (thrown) {
      for (const matrix of taken) backend.free(matrix);
      throw thrown;
    }
    const [newest, spare, gram] = taken as [Matrix, Matrix, Matrix];
    return new Basis(backend, newest, spare, gram, random);
  }

  /** The newest block, length x width: no part of the basis before it is appended, and its last block afterwards. */
  get block(): Matrix {
    return this.newest;
  }

  /** Sets the newest block. */
  fill(by: (out: Float32Array) => void): Promise<void> {
    return this.backend.upload(this.newest, 0, this.newest.rows, by);
  }

  /**
   * Makes the newest block orthonormal and orthogonal to all before it, and keeps it; gives its R (width x width).
   * @param known what is known to lie along the block before it: that times the transpose of this triangle
   */
  async append(known?: Float32Array): Promise<Float32Array> {
    const { cols: width } = this.newest;
    let factor: Float32Array | undefined;
    // Twice is enough (Giraud, Langou, Rozloznik and van den Eshof 2005), and taking out what is known is the first time. More is needed where
    // little is left over, as when the Krylov space is exhausted: the QR completes the block by any vectors, which may lie in the basis.
    if (known) await this.takeOut(known);
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

  /** The combinations of the basis' vectors by `coefficients` (as many rows as vectors, `cols` columns): length x cols, row-major. */
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
    const { rows, shares } = this.chunks.at(-1)!;
    const width = shares.cols;
    const place = ((this.blocks - 1) % (rows.rows / width)) * width * width;
    await this.backend.upload(shares, 0, shares.rows, (out) => {
      out.fill(0);
      transpose(known, width, out.subarray(place, place + width * width));
    });
    await this.backend.multiply(this.newest, rows, shares, { transposeA: true, alpha: -1, beta: 1 });
  }

  private async perturb(): Promise<void> {
    const values = await this.backend.download(this.newest);
    const size = NOISE * Math.sqrt(3 / this.newest.rows);
    await this.fill((out) => {
      for (let i = 0; i < out.length; i++) out[i] = values[i]! + size * (2 * this.random.uniform() - 1);
    });
  }

  /** Takes the parts along the basis out of the block; gives the squared norms of what it took out of each vector. */
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
   * QR of the block in its place; gives R. By the Cholesky factor of its Gram matrix, which is two products, where that is well conditioned
   * (Yamamoto, Nakatsukasa, Yanagisawa and Fukaya 2015), else by reflections.
   */
  private async normalize(): Promise<Float32Array> {
    const { backend, gram } = this;
    await backend.multiply(gram, this.newest, this.newest, { transposeA: true });
    const factor = cholesky(await backend.download(gram), gram.cols);
    if (factor) {
      await backend.upload(gram, 0, gram.rows, (out) => triangularInverse(factor, gram.cols, out));
      await backend.multiply(this.spare, this.newest, gram);
      [this.newest, this.spare] = [this.spare, this.newest];
      return Float32Array.from(factor);
    }
    const triangle = await backend.orthonormalize(this.newest);
    try {
      return await backend.download(triangle);
    } finally {
      backend.free(triangle);
    }
  }

  /** Copies the block to the rows. */
  private async keep(): Promise<void> {
    const { rows: length, cols: width } = this.newest;
    const blocks = Math.max(1, Math.floor(CHUNK_ROWS / width));
    if (this.blocks % blocks === 0) await this.addChunk(blocks * width, length, width);
    const vectors = await this.backend.download(this.newest);
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

/** The least share of a vector's norm that projecting (which took `taken`, squared) and the QR with this triangle left of its own. */
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
