import { throwIfCancelled } from '../base/errors.ts';
import { seededRandom } from '../base/random.ts';
import type { Backend, Matrix } from '../devices/backend.ts';
import { Basis } from './basis.ts';

/** Block width from which W^T times a block is as fast as the transpose of the block times W. */
const WIDE = 64;

/**
 * Block Golub-Kahan-Lanczos bidiagonalisation of W (on the device), started with a random orthonormal block on its
 * shorter side, with full reorthogonalisation (Golub, Luk and Overton 1981). With A = W or W^T, whichever is not wide:
 *
 * 1. U_j A_j = A V_j - U U^T A V_j;  2. V_(j+1) R_j = A^T U_j - V V^T A^T U_j;
 * 3. U^T A [V, V_(s+1)] is block bidiagonal, with A_j on the diagonal and R_j^T above; as both are triangular, it is an
 *    upper band.
 */
export class Bidiagonalization {
  /** A_j and R_j, width x width each, row-major and upper triangular. */
  readonly diagonal: Float32Array[] = [];
  readonly above: Float32Array[] = [];

  private constructor(
    private readonly backend: Backend,
    private readonly matrix: Matrix,
    readonly width: number,
    /** U, on the side of the rows of A; `short` is V, on that of the columns. */
    private readonly long: Basis,
    private readonly short: Basis,
  ) {}

  /**
   * @param steps how many will be made at most, if that is known
   * @throws RankscopeError 'too-large', 'engine'
   */
  static async start(
    backend: Backend,
    matrix: Matrix,
    width: number,
    seed: number,
    steps?: number,
  ): Promise<Bidiagonalization> {
    const { rows, cols } = matrix;
    const random = seededRandom(seed);
    const long = await Basis.allocate(backend, Math.max(rows, cols), width, random, steps && steps * width);
    let short: Basis | undefined;
    try {
      short = await Basis.allocate(backend, Math.min(rows, cols), width, random, steps && (steps + 1) * width);
      await short.fill((out) => {
        for (let i = 0; i < out.length; i++) out[i] = random.uniform() - 0.5;
      });
      await short.append();
    } catch (thrown) {
      long.free();
      short?.free();
      throw thrown;
    }
    return new Bidiagonalization(backend, matrix, width, long, short);
  }

  private get tall(): boolean {
    return this.matrix.rows >= this.matrix.cols;
  }

  /** Columns of U. */
  get size(): number {
    return this.diagonal.length * this.width;
  }

  /** Whether the dimensions allow another step. */
  get hasRoom(): boolean {
    return this.size + 2 * this.width <= Math.min(this.matrix.rows, this.matrix.cols);
  }

  /** @throws RankscopeError 'cancelled', 'too-large', 'engine' */
  async step(signal: AbortSignal | undefined, subject: string): Promise<void> {
    throwIfCancelled(signal, subject);
    await this.multiply(!this.tall, this.short, this.long);
    this.diagonal.push(await this.long.append(this.above.at(-1)));
    throwIfCancelled(signal, subject);
    await this.multiply(this.tall, this.long, this.short);
    this.above.push(await this.short.append(this.diagonal.at(-1)));
  }

  /** U^T A [V, V_(s+1)]: size x (size + width), row-major. */
  projected(): Float32Array {
    const { size, width } = this;
    const out = new Float32Array(size * (size + width));
    for (const [step, a] of this.diagonal.entries()) {
      const r = this.above[step]!;
      for (let i = 0; i < width; i++) {
        const row = (step * width + i) * (size + width) + step * width;
        for (let j = i; j < width; j++) out[row + j] = a[i * width + j]!;
        for (let j = 0; j <= i; j++) out[row + width + j] = r[j * width + i]!;
      }
    }
    return out;
  }

  /**
   * Vectors on the side of the rows and of the columns of W, from `cols` columns of coordinates along U and [V,
   * V_(s+1)].
   */
  async vectors(
    alongU: Float32Array,
    alongV: Float32Array,
    cols: number,
  ): Promise<{ left: Float32Array; right: Float32Array }> {
    const long = await this.long.combined(alongU, cols);
    const short = await this.short.combined(alongV, cols);
    return this.tall ? { left: long, right: short } : { left: short, right: long };
  }

  free(): void {
    this.long.free();
    this.short.free();
  }

  /** Sets the next block of `to` to W or W^T times the last one of `from`. */
  private async multiply(transposed: boolean, from: Basis, to: Basis): Promise<void> {
    const { backend, matrix } = this;
    if (!transposed || this.width >= WIDE) {
      return backend.multiply(to.incoming, matrix, from.last, { transposeA: transposed });
    }
    // (from^T W)^T: with few vectors, devices are up to three times as fast if they read W by rows, and transposing a
    // narrow block is cheap.
    const turned = await backend.allocate(to.incoming.cols, to.incoming.rows);
    try {
      await backend.multiply(turned, from.last, matrix, { transposeA: true });
      await to.fillTransposed(turned);
    } finally {
      backend.free(turned);
    }
  }
}
