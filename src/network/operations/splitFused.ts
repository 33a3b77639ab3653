import type { Matrix } from '../../devices/backend.ts';
import type { AttentionSettings } from '../configuration/decoder.ts';
import type { Scope } from './run.ts';

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
  const part = async (count: number, before: number, place: number) => {
    const out = await scope.take(x.rows, count * headSize);
    const from = byHead ? place * headSize : before * headSize;
    await scope.backend.network.pick(out, x, { size: headSize, from, step: byHead ? 3 * headSize : headSize });
    return out;
  };
  return [await part(heads, 0, 0), await part(keyHeads, heads, 1), await part(keyHeads, heads + keyHeads, 2)];
}
