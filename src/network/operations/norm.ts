import type { Matrix, NormWeights } from '../../devices/backend.ts';
import { copyOf } from './residual.ts';
import type { Scope } from './run.ts';
import type { Tape } from './tape.ts';

/** A norm with its weights; the offset of its settings is added already. */
export type Norm = NormWeights;

/** Each stretch of `norm.weight.length` entries normalized by itself: the whole row, or each of its heads. */
export async function normalized(scope: Scope, x: Matrix, norm: Norm): Promise<Matrix> {
  const out = await scope.take(x.rows, x.cols);
  await scope.backend.network.normalize(out, x, norm);
  await recordNorm(scope, x, norm, out, x);
  return out;
}

/** The same in place. */
export async function normalize(scope: Scope, x: Matrix, norm: Norm): Promise<void> {
  const before = scope.tape ? await copyOf(scope, x) : x;
  await scope.backend.network.normalize(x, x, norm);
  await recordNorm(scope, x, norm, x, before);
  if (before !== x) scope.free(before);
}

/** @param content what x had when it was normalized */
async function recordNorm({ tape, ...scope }: Scope, x: Matrix, norm: Norm, out: Matrix, content: Matrix) {
  if (!tape) return;
  // The residual stream changes after it was read.
  const kept = content === x ? await copyOf(scope, x) : content;
  tape.record([kept], (back) => normBack(back, x, norm, out, kept));
  if (kept !== content) scope.free(kept);
}

async function normBack(tape: Tape, x: Matrix, norm: Norm, out: Matrix, content: Matrix): Promise<void> {
  const gradient = tape.take(out);
  if (!gradient) return;
  tape.addNorm(norm, await tape.backend.network.normalizeBack(gradient, content, norm));
  await tape.add(x, gradient);
}
