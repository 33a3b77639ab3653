import { throwIfCancelled } from '../base/errors.ts';
import { seededRandom } from '../base/random.ts';
import type { Backend, Matrix } from '../devices/backend.ts';
import { Basis } from './basis.ts';
import { ProductQueue } from './productQueue.ts';
import { Scope } from './scope.ts';

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
    private readonly scope: Scope,
    private readonly products: ProductQueue,
    private readonly matrix: Matrix,
    readonly width: number,
    /** U, on the side of the rows of A; `short` is V, on that of the columns. */
    private readonly long: Basis,
    private readonly short: Basis,
    private readonly turning: Turning | undefined,
  ) {}

  /** @throws RankscopeError 'too-large', 'engine' */
  static async start(backend: Backend, matrix: Matrix, width: number, seed: number): Promise<Bidiagonalization> {
    const { rows, cols } = matrix;
    const random = seededRandom(seed);
    const products = new ProductQueue(backend);
    const scope = new Scope(backend);
    try {
      const long = await Basis.allocate(scope, products, Math.max(rows, cols), width, random);
      const short = await Basis.allocate(scope, products, Math.min(rows, cols), width, random);
      const turning = width < WIDE ? await turningRoom(scope, width, cols) : undefined;
      await short.fill((out) => {
        for (let i = 0; i < out.length; i++) out[i] = random.uniform() - 0.5;
      });
      await short.append();
      return new Bidiagonalization(scope, products, matrix, width, long, short, turning);
    } catch (thrown) {
      scope.close();
      throw thrown;
    }
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
    await this.halfStep(signal, subject);
    throwIfCancelled(signal, subject);
    this.multiply(this.tall, this.long, this.short);
    this.above.push(await this.short.append(this.diagonal.at(-1)));
  }

  /** The first half of a step, which finds A_j: nothing but `diagonal` and `above` may be used behind it. */
  async halfStep(signal: AbortSignal | undefined, subject: string): Promise<void> {
    throwIfCancelled(signal, subject);
    this.multiply(!this.tall, this.short, this.long);
    this.diagonal.push(await this.long.append(this.above.at(-1)));
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
    this.scope.close();
  }

  /** Sets the next block of `to` to W or W^T times the last one of `from`. */
  private multiply(transposed: boolean, from: Basis, to: Basis): void {
    const { products, matrix, turning } = this;
    if (!transposed || !turning) {
      products.add(to.incoming, matrix, from.last, { transposeA: transposed });
      return;
    }
    products.add(turning.turned, from.last, matrix, { transposeA: true });
    products.add(to.incoming, turning.turned, turning.identity, { transposeA: true });
  }
}

/**
 * What W^T V takes as (V^T W)^T: with few vectors, devices are up to three times as fast if they read W by rows, and
 * transposing a narrow block, by a product with the identity, is cheap.
 */
interface Turning {
  readonly turned: Matrix;
  readonly identity: Matrix;
}

async function turningRoom(scope: Scope, width: number, cols: number): Promise<Turning> {
  const identity = await scope.upload(width, width, (out) => {
    for (let i = 0; i < out.length; i++) out[i] = i % (width + 1) === 0 ? 1 : 0;
  });
  return { turned: await scope.allocate(width, cols), identity };
}
