import type { Pause } from '../../base/eventLoop.ts';
import type { Backend, Matrix } from '../../devices/backend.ts';
import type { Rows } from './rows.ts';
import type { Tape } from './tape.ts';

/** What operations run on. */
export interface Run {
  readonly backend: Backend;
  /** Awaited at least every 100 ms: yields to other work, and throws 'cancelled'. */
  readonly pause: Pause;
  readonly signal?: AbortSignal | undefined;
  /** Receives the inputs of layers that read the same, before these compute; awaited. */
  readonly observe?: ((inputs: Rows, layers: readonly { readonly name: string }[]) => Promise<void>) | undefined;
  /** Records the operations, so that gradients can pass back through them. */
  readonly tape?: Tape | undefined;
}

/** A run whose device matrices end with it. Whoever no longer needs one frees it earlier. */
export interface Scope extends Run {
  take(rows: number, cols: number): Promise<Matrix>;
  free(...matrices: readonly Matrix[]): void;
  upload(rows: Rows): Promise<Matrix>;
  /** The matrix, which is freed. The entries may come in the place of `into`. */
  download(matrix: Matrix, into?: Float32Array): Promise<Rows>;
}

/** Runs `use` with a scope of its own and frees what is left in it. */
export async function withScope<Result>(run: Run, use: (scope: Scope) => Promise<Result>): Promise<Result> {
  const { backend, tape } = run;
  const held = new Set<Matrix>();
  const free = (...matrices: readonly Matrix[]) => {
    for (const matrix of matrices) if (held.delete(matrix) && !tape?.adopts(matrix)) backend.free(matrix);
  };
  const take = async (rows: number, cols: number) => {
    const matrix = await backend.allocate(rows, cols);
    held.add(matrix);
    return matrix;
  };
  const scope: Scope = {
    ...run,
    take,
    free,
    async upload({ rows, cols, values }) {
      const matrix = await take(rows, cols);
      await backend.upload(matrix, 0, rows, (out) => out.set(values));
      return matrix;
    },
    async download(matrix, into) {
      const values = await backend.download(matrix, into);
      free(matrix);
      return { rows: matrix.rows, cols: matrix.cols, values };
    },
  };
  try {
    return await use(scope);
  } finally {
    free(...held);
  }
}
