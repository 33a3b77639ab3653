import type { AttentionSettings } from '../configuration/decoder.ts';
import { causalSoftmax } from './causalSoftmax.ts';
import { emptyRows, type Rows } from './rows.ts';
import type { Run } from './run.ts';
import { softCap } from './softCap.ts';

/**
 * Causal attention of the last positions: row i of `query` stands at position `length - query.rows + i`, and the first
 * `length` rows of `key` and `value` at theirs. A row reads every key once and uses it for few products, which costs
 * less than taking it to a device.
 */
export async function cachedAttention(
  { pause }: Run,
  query: Rows,
  key: Rows,
  value: Rows,
  length: number,
  settings: AttentionSettings,
): Promise<Rows> {
  const { heads, keyHeads, headSize, window } = settings;
  const out = emptyRows(query.rows, heads * headSize);
  for (let row = 0; row < query.rows; row++) {
    const position = length - query.rows + row;
    const first = window === null ? 0 : Math.max(0, position - window + 1);
    const keys = { first, count: position - first + 1 };
    for (let head = 0; head < heads; head++) {
      await pause();
      const keyAt = Math.floor((head * keyHeads) / heads) * headSize;
      const weights = weightsOf(query, row * query.cols + head * headSize, key, keyAt, keys, settings);
      average(weights, value, keyAt, keys, out.values.subarray(row * out.cols + head * headSize).subarray(0, headSize));
    }
  }
  return out;
}

interface KeyRange {
  readonly first: number;
  readonly count: number;
}

/** softmax(scale q k^T) of the query at `queryAt` in the values, over the keys of the head at column `keyAt`. */
function weightsOf(
  query: Rows,
  queryAt: number,
  key: Rows,
  keyAt: number,
  { first, count }: KeyRange,
  { headSize, scale, softCap: cap }: AttentionSettings,
): Float32Array {
  const scores = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const at = (first + i) * key.cols + keyAt;
    let product = 0;
    for (let k = 0; k < headSize; k++) product += query.values[queryAt + k]! * key.values[at + k]!;
    scores[i] = scale * product;
  }
  if (cap !== null) softCap(scores, cap);
  causalSoftmax(scores, { queries: 1, keys: count, ahead: count - 1, window: Number.POSITIVE_INFINITY });
  return scores;
}

function average(
  weights: Float32Array,
  { cols, values }: Rows,
  column: number,
  { first, count }: KeyRange,
  out: Float32Array,
): void {
  const sums = new Float64Array(out.length);
  for (let i = 0; i < count; i++) {
    const at = (first + i) * cols + column;
    for (let k = 0; k < out.length; k++) sums[k]! += weights[i]! * values[at + k]!;
  }
  out.set(sums);
}
