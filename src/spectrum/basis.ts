import type { Random } from '../base/random.ts';
import type { Matrix } from '../devices/backend.ts';
import type { ProductQueue } from './productQueue.ts';
import { Scope } from './scope.ts';
import { transpose } from './transpose.ts';
import { cholesky, triangularInverse, triangularProduct } from './triangular.ts';

/** Orthogonalisations per block at most. */
const PASS_LIMIT = 5;
/** A vector is orthogonalised again if less than this fraction of its norm is left. */
const LEFT_OVER = 0.5;
/** Norm of the random perturbation added before: the size of rounding. */
const NOISE = 2 ** -21;

/** Matrices that a block passes through on its way into a basis; the small ones are width x width. */
interface Room {
  /** Where the next block is put, and where it is written when it has become orthonormal: length x width. */
  next: Matrix;
  spare: Matrix;
  /** What is known of the next block, and what the basis has in common with it. */
  readonly known: Matrix;
  readonly share: Matrix;
  /** B^T B of the next block before and after the basis is taken out. */
  readonly before: Matrix;
  readonly after: Matrix;
  /** R^-1 of its QR. */
  readonly inverse: Matrix;
}

/**
 * Orthonormal vectors on the device, in blocks of some columns. Their products join those of the caller in `products`,
 * and may still wait there when a block has been appended.
 */
export class Basis {
  private readonly blocks: Matrix[] = [];

  private constructor(
    private readonly scope: Scope,
    private readonly products: ProductQueue,
    private readonly room: Room,
    private readonly random: Random,
  ) {}

  /**
   * A basis of blocks of `width` vectors of `length`, which the scope frees. `random` supplies directions if those of a
   * block are exhausted.
   * @throws RankscopeError 'too-large', 'engine'
   */
  static async allocate(
    scope: Scope,
    products: ProductQueue,
    length: number,
    width: number,
    random: Random,
  ): Promise<Basis> {
    const small = () => scope.allocate(width, width);
    const room = {
      next: await scope.allocate(length, width),
      spare: await scope.allocate(length, width),
      known: await small(),
      share: await small(),
      before: await small(),
      after: await small(),
      inverse: await small(),
    };
    return new Basis(scope, products, room, random);
  }

  /** The block that was appended last, length x width. */
  get last(): Matrix {
    return this.blocks.at(-1)!;
  }

  /** Where the next block is put before it is appended. */
  get incoming(): Matrix {
    return this.room.next;
  }

  /** Overwrites the next block. */
  fill(by: (out: Float32Array) => void): Promise<void> {
    return this.scope.backend.upload(this.incoming, 0, this.incoming.rows, by);
  }

  /**
   * Makes the next block orthonormal and orthogonal to the basis, adds it to the basis and returns its R (width x
   * width).
   * @param known a triangle whose transpose, times the last block, is a known part of the next block
   */
  async append(known?: Float32Array): Promise<Float32Array> {
    const { cols: width } = this.incoming;
    let factor: Float32Array | undefined;
    // Twice is enough (Giraud, Langou, Rozloznik and van den Eshof 2005), and subtracting the known part counts once.
    // More passes are needed if little is left, as when the Krylov space is exhausted: the QR completes the block with
    // vectors that may lie in the basis.
    if (known) await this.takeOut(known);
    for (let pass = 1; ; pass++) {
      if (pass > 1) await this.perturb();
      const before = await this.project();
      const triangle = await this.normalize();
      factor = factor ? triangularProduct(triangle, factor, width) : triangle;
      if (!before || pass === PASS_LIMIT || leftOver(triangle, before, width) > LEFT_OVER) break;
    }
    await this.keep();
    return factor;
  }

  /** Basis times `coefficients` (a row per basis vector, `cols` columns): length x cols, row-major. */
  combined(coefficients: Float32Array, cols: number): Promise<Float32Array> {
    const { rows: length, cols: width } = this.incoming;
    const size = width * cols;
    return Scope.run(this.scope.backend, async (scope) => {
      const out = await scope.allocate(length, cols);
      for (const [i, block] of this.blocks.slice(0, coefficients.length / size).entries()) {
        const by = await scope.upload(width, cols, (into) => into.set(coefficients.subarray(i * size, (i + 1) * size)));
        this.products.add(out, block, by, { beta: i === 0 ? 0 : 1 });
      }
      await this.products.form();
      return scope.backend.download(out);
    });
  }

  private async takeOut(triangle: Float32Array): Promise<void> {
    const { known } = this.room;
    await this.scope.backend.upload(known, 0, known.rows, (out) => transpose(triangle, known.cols, out));
    this.products.add(this.incoming, this.last, known, { alpha: -1, beta: 1 });
  }

  private async perturb(): Promise<void> {
    await this.products.form();
    const values = await this.scope.backend.download(this.incoming);
    const size = NOISE * Math.sqrt(3 / this.incoming.rows);
    await this.fill((out) => {
      for (let i = 0; i < out.length; i++) out[i] = values[i]! + size * (2 * this.random.uniform() - 1);
    });
  }

  /** Projects the basis, if there is one, out of the next block B; returns B^T B as it was before. */
  private async project(): Promise<Float32Array | undefined> {
    const { products, blocks } = this;
    const { next, share, before, after } = this.room;
    if (blocks.length > 0) products.add(before, next, next, { transposeA: true });
    for (const block of blocks) {
      products.add(share, block, next, { transposeA: true });
      products.add(next, block, share, { alpha: -1, beta: 1 });
    }
    products.add(after, next, next, { transposeA: true });
    await products.form();
    return blocks.length > 0 ? await this.scope.backend.download(before) : undefined;
  }

  /**
   * QR of the next block in place; returns R. Uses the Cholesky factor of B^T B, which takes two products, if that is
   * well conditioned (Yamamoto, Nakatsukasa, Yanagisawa and Fukaya 2015), otherwise reflections.
   */
  private async normalize(): Promise<Float32Array> {
    const { backend } = this.scope;
    const { room } = this;
    const { next, spare, after, inverse } = room;
    const factor = cholesky(await backend.download(after), after.cols);
    if (factor) {
      await backend.upload(inverse, 0, inverse.rows, (out) => triangularInverse(factor, inverse.cols, out));
      this.products.add(spare, next, inverse);
      [room.next, room.spare] = [spare, next];
      return Float32Array.from(factor);
    }
    const triangle = await backend.orthonormalize(next);
    try {
      return await backend.download(triangle);
    } finally {
      backend.free(triangle);
    }
  }

  /** Adds the next block to the basis. */
  private async keep(): Promise<void> {
    const { blocks, room } = this;
    const fresh = await this.scope.allocate(room.next.rows, room.next.cols);
    blocks.push(room.next);
    room.next = fresh;
  }
}

/**
 * The smallest fraction of a vector's norm that is left behind the projection and the QR: the diagonal of R beside the
 * norms of the block before, of whose Gram matrix the diagonal is given.
 */
function leftOver(triangle: Float32Array, before: Float32Array, size: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < size * size; i += size + 1)
    least = Math.min(least, Math.abs(triangle[i]!) / Math.sqrt(before[i]!));
  return least;
}
