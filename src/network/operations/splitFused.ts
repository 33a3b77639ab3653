import type { Columns, Matrix } from '../../devices/backend.ts';
import type { AttentionSettings } from '../configuration/decoder.ts';
import type { Scope } from './run.ts';
import type { Tape } from './tape.ts';

/**
 * Queries, keys and values out of the outputs of a fused matrix: all queries, all keys, all values, or (`byHead`)
 * query, key and value of the first head, then of the next one.
 */
export async function splitFused(
  scope: Scope,
  x: Matrix,
  { heads, keyHeads, headSize }: AttentionSettings,
  byHead: boolean,
): Promise<[query: Matrix, key: Matrix, value: Matrix]> {
  const part = (count: number, before: number, place: number) => {
    const from = byHead ? place * headSize : before * headSize;
    return picked(scope, x, count * headSize, { size: headSize, from, step: byHead ? 3 * headSize : headSize });
  };
  return [await part(heads, 0, 0), await part(keyHeads, heads, 1), await part(keyHeads, heads + keyHeads, 2)];
}

/** Both halves of each row. */
export async function splitHalves(scope: Scope, x: Matrix): Promise<[Matrix, Matrix]> {
  const size = x.cols / 2;
  const half = (from: number) => picked(scope, x, size, { size, from, step: size });
  return [await half(0), await half(size)];
}

/** Some columns of x, of which every other part is picked as well: only then is the gradient of x whole. */
async function picked(scope: Scope, x: Matrix, cols: number, columns: Columns): Promise<Matrix> {
  const out = await scope.take(x.rows, cols);
  await scope.backend.network.pick(out, x, columns);
  scope.tape?.record([], (tape) => pickedBack(tape, x, out, columns));
  return out;
}

async function pickedBack(tape: Tape, x: Matrix, out: Matrix, columns: Columns): Promise<void> {
  const { backend } = tape;
  const gradient = tape.take(out);
  if (!gradient) return;
  try {
    const whole = tape.gradientOf(x) ?? (await backend.allocate(x.rows, x.cols));
    if (!tape.gradientOf(x)) await tape.add(x, whole);
    await backend.network.place(whole, gradient, columns);
  } finally {
    backend.free(gradient);
  }
}
