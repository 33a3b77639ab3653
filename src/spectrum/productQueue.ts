import type { Backend, Matrix, MatrixProduct, ProductForm } from '../devices/backend.ts';

/** Products that wait until the host needs what comes of them: devices form several in turn at less cost. */
export class ProductQueue {
  private waiting: MatrixProduct[] = [];

  constructor(private readonly backend: Backend) {}

  /** As `Backend.multiply`; until the products are formed, the operands must not be changed otherwise. */
  add(out: Matrix, a: Matrix, b: Matrix, form: ProductForm = {}): void {
    this.waiting.push({ out, a, b, ...form });
  }

  /** @throws RankscopeError 'engine' */
  async form(): Promise<void> {
    const products = this.waiting;
    this.waiting = [];
    if (products.length > 0) await this.backend.multiplyInTurn(products);
  }
}
