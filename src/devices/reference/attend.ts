import { throwIfCancelled } from '../../base/errors.ts';
import type { AttentionOptions } from '../networkOperations.ts';
import type { Values } from '../plain/values.ts';

type Input = Readonly<Record<'query' | 'key' | 'value', Values>>;

/** Softmax attention (Vaswani et al., arXiv 1706.03762), a query at a time. */
export function attend(out: Values, { query, key, value }: Input, options: AttentionOptions): void {
  const { headSize } = options;
  forEachQuery(query, key, options, ({ at, keyAt, weights }) => {
    for (let i = 0; i < headSize; i++) {
      let sum = 0;
      for (const [k, weight] of weights.entries()) sum += weight * value[keyAt(k) + i]!;
      out[at + i] = sum;
    }
  });
}

/** The gradients of queries, keys and values, from that of the attention. */
export function attendBack(out: Input, gradient: Values, input: Input, options: AttentionOptions): void {
  const { heads, keyHeads, headSize, scale, softCap, spans } = options;
  const { query, key, value } = input;
  for (const { row, rows, keyRow, keys } of spans) {
    out.query.fill(0, row * heads * headSize, (row + rows) * heads * headSize);
    for (const each of [out.key, out.value])
      each.fill(0, keyRow * keyHeads * headSize, (keyRow + keys) * keyHeads * headSize);
  }
  forEachQuery(query, key, options, ({ at, keyAt, weights, scores }) => {
    const ofWeights = weights.map((_, k) => {
      let sum = 0;
      for (let i = 0; i < headSize; i++) sum += gradient[at + i]! * value[keyAt(k) + i]!;
      return sum;
    });
    const mean = weights.reduce((sum, weight, k) => sum + weight * ofWeights[k]!, 0);
    for (const [k, weight] of weights.entries()) {
      const slope = softCap === null ? 1 : 1 - (scores[k]! / softCap) ** 2;
      const ofProduct = scale * slope * weight * (ofWeights[k]! - mean);
      for (let i = 0; i < headSize; i++) {
        out.query[at + i]! += ofProduct * key[keyAt(k) + i]!;
        out.key[keyAt(k) + i]! += ofProduct * query[at + i]!;
        out.value[keyAt(k) + i]! += weight * gradient[at + i]!;
      }
    }
  });
}

/** A query of a head, the keys that it sees, and their scores and weights. */
interface Seen {
  readonly at: number;
  readonly keyAt: (k: number) => number;
  readonly scores: Float64Array;
  readonly weights: Float64Array;
}

function forEachQuery(
  query: Values,
  key: Values,
  { heads, keyHeads, headSize, scale, softCap, window, spans, signal }: AttentionOptions,
  visit: (seen: Seen) => void,
): void {
  throwIfCancelled(signal, 'attention');
  const [width, keyWidth] = [heads * headSize, keyHeads * headSize];
  for (const { row, rows, keyRow, keys } of spans)
    for (let r = 0; r < rows; r++)
      for (let head = 0; head < heads; head++) {
        const own = keys - rows + r;
        const first = window === null ? 0 : Math.max(0, own - window + 1);
        const at = (row + r) * width + head * headSize;
        const shared = Math.floor(head / (heads / keyHeads)) * headSize;
        const keyAt = (k: number) => (keyRow + first + k) * keyWidth + shared;
        const scores = Float64Array.from({ length: own + 1 - first }, (_, k) => {
          let score = 0;
          for (let i = 0; i < headSize; i++) score += query[at + i]! * key[keyAt(k) + i]!;
          score *= scale;
          return softCap === null ? score : softCap * Math.tanh(score / softCap);
        });
        const largest = scores.reduce((most, score) => Math.max(most, score), Number.NEGATIVE_INFINITY);
        const weights = scores.map((score) => Math.exp(score - largest));
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        visit({ at, keyAt, scores, weights: weights.map((weight) => weight / total) });
      }
}
