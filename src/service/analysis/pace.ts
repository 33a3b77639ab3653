import type { Matrix } from '../../model/matrix.ts';
import type { Accuracy } from './sweeps.ts';

/** Overhead per matrix (reading, dispatch), in equivalent multiplications. */
const OVERHEAD = 5e6;
/** Approximate number of matrix-vector products of an estimate. */
const PRODUCTS = { coarse: 128, preview: 256 } as const;

/**
 * Estimates the remaining time from the work done so far: the work of each matrix is known in advance, the machine's
 * speed is not.
 */
export class Pace {
  private readonly started = performance.now();
  private left = 0;
  private done = 0;
  /** Work done on the matrices that are being computed. */
  private readonly parts = new Map<Matrix, number>();

  expect(matrix: Matrix, accuracy: Accuracy): void {
    this.left += workOf(matrix, accuracy);
  }

  finish(matrix: Matrix, accuracy: Accuracy): void {
    const work = workOf(matrix, accuracy);
    this.left -= work;
    this.done += work;
    this.parts.delete(matrix);
  }

  /** Sets how much of a matrix is done, from 0 to 1. */
  reach(matrix: Matrix, accuracy: Accuracy, share: number): void {
    this.parts.set(matrix, share * workOf(matrix, accuracy));
  }

  /** Removes expected work that will not be done. */
  drop(matrix: Matrix, accuracy: Accuracy): void {
    this.left -= workOf(matrix, accuracy);
  }

  /** Undefined until some work has been done. */
  secondsLeft(): number | undefined {
    const part = [...this.parts.values()].reduce((sum, each) => sum + each, 0);
    const done = this.done + part;
    if (done === 0) return undefined;
    const elapsed = (performance.now() - this.started) / 1000;
    return Math.max(0, this.left - part) * (elapsed / done);
  }
}

/**
 * Multiplications: a spectrum takes about 8/3 m n^2 for n <= m (Golub and Van Loan, 5.4), a preview 2 m n per product.
 */
export function workOf({ rows, cols }: Matrix, accuracy: Accuracy): number {
  const entries = rows * cols;
  const p = Math.min(rows, cols);
  const products = accuracy === 'exact' ? (4 / 3) * p : Math.min(p, PRODUCTS[accuracy]);
  return OVERHEAD + 2 * entries * products;
}
