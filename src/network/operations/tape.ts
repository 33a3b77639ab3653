import type { Pause } from '../../base/eventLoop.ts';
import type { Backend, Matrix, NormGradient, NormWeights } from '../../devices/backend.ts';

/** Passes gradients from the outputs of one operation to its inputs. */
export type BackStep = (tape: Tape) => Promise<void>;

/**
 * The operations of a pass in their order, so that gradients can pass back through them in the opposite one
 * (reverse-mode differentiation; Griewank and Walther, "Evaluating Derivatives", 2008). Each operation records its
 * step, and the matrices that the step needs: these stay in device memory until it is done, though the operation's
 * caller frees them. A matrix that is overwritten has one gradient at a time, that of its content at this point.
 */
export class Tape {
  private readonly steps: { readonly back: BackStep; readonly needed: readonly Matrix[] }[] = [];
  /** How many steps need a matrix. */
  private readonly needs = new Map<Matrix, number>();
  /** Needed matrices whose owners freed them. */
  private readonly adopted = new Set<Matrix>();
  private readonly gradients = new Map<Matrix, Matrix>();
  /** Of the weights of each norm. */
  readonly norms = new Map<NormWeights, NormGradient>();

  constructor(
    readonly backend: Backend,
    /** Weights whose gradients are wanted. */
    private readonly trained: ReadonlySet<Matrix>,
    private readonly pause: Pause,
    readonly signal: AbortSignal | undefined,
  ) {}

  record(needed: readonly Matrix[], back: BackStep): void {
    this.steps.push({ back, needed });
    for (const matrix of needed) this.needs.set(matrix, (this.needs.get(matrix) ?? 0) + 1);
  }

  /** Whether the tape frees this matrix from now on, in place of its owner. */
  adopts(matrix: Matrix): boolean {
    if (!this.needs.has(matrix)) return false;
    this.adopted.add(matrix);
    return true;
  }

  /** Passes back all that was recorded; the gradients of trained weights remain. */
  async back(): Promise<void> {
    for (let step = this.steps.pop(); step; step = this.steps.pop()) {
      await this.pause();
      await step.back(this);
      for (const matrix of step.needed) this.release(matrix);
    }
    for (const matrix of [...this.gradients.keys()]) if (!this.trained.has(matrix)) this.drop(matrix);
  }

  trains(matrix: Matrix): boolean {
    return this.trained.has(matrix);
  }

  gradientOf(matrix: Matrix): Matrix | undefined {
    return this.gradients.get(matrix);
  }

  /** The gradient of a matrix, which the caller owns from now on; undefined where nothing depends on the matrix. */
  take(matrix: Matrix): Matrix | undefined {
    const gradient = this.gradients.get(matrix);
    this.gradients.delete(matrix);
    return gradient;
  }

  /** Adds a gradient, which belongs to the tape from now on. */
  async add(matrix: Matrix, gradient: Matrix): Promise<void> {
    const sum = this.gradients.get(matrix);
    if (!sum) {
      this.gradients.set(matrix, gradient);
      return;
    }
    await this.backend.network.add(sum, gradient, 1);
    this.backend.free(gradient);
  }

  /** Adds op(a) op(b) to the gradient of a matrix. */
  async addProduct(
    matrix: Matrix,
    a: Matrix,
    b: Matrix,
    options: { readonly transposeA?: boolean; readonly transposeB?: boolean },
  ): Promise<void> {
    const { backend, signal } = this;
    const sum = this.gradients.get(matrix) ?? (await backend.allocate(matrix.rows, matrix.cols));
    const beta = this.gradients.has(matrix) ? 1 : 0;
    this.gradients.set(matrix, sum);
    await backend.multiply(sum, a, b, { ...options, beta, signal });
  }

  /** Adds to the gradient of a norm's weights. */
  addNorm(norm: NormWeights, { weight, bias }: NormGradient): void {
    const sum = this.norms.get(norm);
    if (!sum) {
      this.norms.set(norm, { weight, bias });
      return;
    }
    for (const [i, value] of weight.entries()) sum.weight[i]! += value;
    if (bias) for (const [i, value] of bias.entries()) sum.bias![i]! += value;
  }

  /** Frees what the tape owns, also where the pass has failed. */
  close(): void {
    for (const matrix of [...this.adopted, ...this.gradients.values()]) this.backend.free(matrix);
    this.adopted.clear();
    this.gradients.clear();
    this.needs.clear();
    this.steps.length = 0;
  }

  private release(matrix: Matrix): void {
    const left = this.needs.get(matrix)! - 1;
    if (left > 0) {
      this.needs.set(matrix, left);
      return;
    }
    this.needs.delete(matrix);
    if (this.adopted.delete(matrix)) this.backend.free(matrix);
  }

  private drop(matrix: Matrix): void {
    const gradient = this.take(matrix);
    if (gradient) this.backend.free(gradient);
  }
}
