import type { Rows } from '../operations/rows.ts';
import { type Run, withScope } from '../operations/run.ts';

/** Entries at a time, so that cancelling is quick. */
const STEP = 2 ** 22;

/**
 * Second moments of what layers read: X X'^T and X' X'^T (n x n, row-major) of the columns of X in the dense network
 * and X' in the compressed one, over the same tokens. The products of a batch are computed in f32 on the device, and
 * summed over batches in f64.
 */
export class InputMoments {
  readonly cross: Float64Array;
  readonly own: Float64Array;
  tokens = 0;

  constructor(readonly inputs: number) {
    this.cross = new Float64Array(inputs ** 2);
    this.own = new Float64Array(inputs ** 2);
  }

  /** Adds tokens: rows of X^T and X'^T. */
  add(run: Run, dense: Rows, compressed: Rows): Promise<void> {
    this.tokens += dense.rows;
    return withScope(run, async (scope) => {
      const { inputs: n, cross, own } = this;
      const [x, y] = [await scope.upload(dense), await scope.upload(compressed)];
      const product = await scope.take(n, n);
      for (const [sum, left] of [
        [cross, x],
        [own, y],
      ] as const) {
        await run.pause();
        await run.backend.multiply(product, left, y, { transposeA: true, signal: run.signal });
        const values = await run.backend.download(product);
        for (let from = 0; from < values.length; from += STEP) {
          await run.pause();
          const end = Math.min(from + STEP, values.length);
          for (let i = from; i < end; i++) sum[i]! += values[i]!;
        }
      }
    });
  }
}
