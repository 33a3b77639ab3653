import type { Backend, Matrix } from '../devices/backend.ts';

/** Device matrices that are all freed at the end, also after an error. */
export class Scope {
  private readonly live = new Set<Matrix>();

  constructor(readonly backend: Backend) {}

  static async run<Result>(backend: Backend, use: (scope: Scope) => Promise<Result>): Promise<Result> {
    const scope = new Scope(backend);
    try {
      return await use(scope);
    } finally {
      scope.close();
    }
  }

  /** Frees what is left; for a scope that outlives one function. */
  close(): void {
    for (const matrix of [...this.live]) this.free(matrix);
  }

  async allocate(rows: number, cols: number): Promise<Matrix> {
    return this.keep(await this.backend.allocate(rows, cols));
  }

  /** Allocates a matrix and fills it. */
  async upload(rows: number, cols: number, fill: (out: Float32Array) => void): Promise<Matrix> {
    const matrix = await this.allocate(rows, cols);
    await this.backend.upload(matrix, 0, rows, fill);
    return matrix;
  }

  /** Adds a matrix that was allocated elsewhere. */
  keep(matrix: Matrix): Matrix {
    this.live.add(matrix);
    return matrix;
  }

  free(matrix: Matrix): void {
    this.live.delete(matrix);
    this.backend.free(matrix);
  }

  /** basis times vectors (host array with `cols` columns), as a host array. */
  async turned(basis: Matrix, vectors: Float32Array, cols: number): Promise<Float32Array> {
    const by = await this.upload(basis.cols, cols, (out) => out.set(vectors));
    const out = await this.allocate(basis.rows, cols);
    await this.backend.multiply(out, basis, by);
    const product = await this.backend.download(out);
    for (const matrix of [by, out]) this.free(matrix);
    return product;
  }
}
