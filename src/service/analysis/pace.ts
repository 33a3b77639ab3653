import type { Provenance } from '../../model/findings.ts';
import type { Matrix } from '../../model/matrix.ts';

/** Work that a matrix costs beside its arithmetic (reading, dispatch), in multiplications of the arithmetic. */
const OVERHEAD = 5e6;
/** Products with a block of vectors that a preview makes, about. */
const PREVIEW_PRODUCTS = 256;

/** Estimates the time left from the work done so far: a matrix's share of the work is known beforehand, the machine's speed is not. */
export class Pace {
  private readonly started = performance.now();
  private left = 0;
  private done = 0;
  // Of the matrix that is being computed.
  private part = 0;

  expect(matrix: Matrix, provenance: Provenance): void {
    this.left += workOf(matrix, provenance);
  }

  finish(matrix: Matrix, provenance: Provenance): void {
    const work = workOf(matrix, provenance);
    this.left -= work;
    this.done += work;
    this.part = 0;
  }

  /** So much of the current matrix is done, a share in [0, 1]. */
  reach(matrix: Matrix, provenance: Provenance, share: number): void {
    this.part = share * workOf(matrix, provenance);
  }

  /** Takes back what was expected: it will not be done. */
  drop(matrix: Matrix, provenance: Provenance): void {
    this.left -= workOf(matrix, provenance);
  }

  /** undefined until something was done. */
  secondsLeft(): number | undefined {
    const done = this.done + this.part;
    if (done === 0) return undefined;
    const elapsed = (performance.now() - this.started) / 1000;
    return Math.max(0, this.left - this.part) * (elapsed / done);
  }
}

// A spectrum takes about 8/3 m n^2 multiplications for n <= m (Golub and Van Loan, 5.4), a preview 2 m n per product.
function workOf({ rows, cols }: Matrix, provenance: Provenance): number {
  const entries = rows * cols;
  const products = provenance === 'exact' ? (4 / 3) * Math.min(rows, cols) : Math.min(rows, cols, PREVIEW_PRODUCTS);
  return OVERHEAD + 2 * entries * products;
}
