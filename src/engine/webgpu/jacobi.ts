import { RankscopeError } from '../../base/errors.ts';
import { real } from './commands.ts';
import type { Context } from './context.ts';
import { type GpuMatrix, whole } from './gpuMatrix.ts';

const EPSILON = 2 ** -23;
const SWEEP_LIMIT = 30;

/**
 * One-sided Jacobi on the rows of a square R (Demmel and Veselic 1992; a QR came before, which makes it converge in few sweeps):
 * turns `r` into J R with orthogonal rows, so row i is sigma_i times a right singular vector, and gives J (n x n, orthogonal).
 */
export async function orthogonalizeRows(
  context: Context,
  r: GpuMatrix,
  step: (share: number) => void,
): Promise<GpuMatrix> {
  const n = r.rows;
  if (r.blocks.length > 1) {
    throw new RankscopeError(
      'too-large',
      'webgpu',
      `singular vectors of a ${n} x ${n} matrix do not fit one binding of this adapter`,
      'Choose the cpu engine',
    );
  }
  const rows = r.blocks[0]!.buffer;
  const j = context.matrix(n, n);
  const turned = j.blocks[0]!.buffer;
  await context.operations.setIdentity(whole(j), rows);
  const worst = context.commands.allocate(1);
  const largest = await context.operations.largest(whole(r));
  const tolerance = 2 * EPSILON * Math.sqrt(n);
  const players = n + (n % 2);
  try {
    for (let sweep = 0; sweep < SWEEP_LIMIT; sweep++) {
      context.commands.clear(worst);
      for (let round = 0; round < players - 1; round++) {
        step(Math.min(0.95, (sweep + round / players) / 9));
        await context.commands.dispatch(
          { file: 'jacobi' },
          [rows, turned, worst],
          // Rows this small are rounding beside sigma_1 and would be turned for ever.
          [players, round, n, n, n, real(tolerance), real(EPSILON * largest), 0],
          [players / 2, 1],
        );
      }
      if (new Float32Array(await context.commands.read(worst, 0, 1))[0] === 0) break;
    }
    return j;
  } finally {
    context.commands.release(worst);
  }
}
