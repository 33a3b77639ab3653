import { throwIfCancelled } from '../../base/errors.ts';
import type { AttentionOptions } from '../networkOperations.ts';
import type { Values } from '../plain/values.ts';

/** Softmax attention (Vaswani et al., arXiv 1706.03762), a query at a time. */
export function attend(
  out: Values,
  { query, key, value }: Readonly<Record<'query' | 'key' | 'value', Values>>,
  { heads, keyHeads, headSize, scale, softCap, window, spans, signal }: AttentionOptions,
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
        const keyAt = (position: number) => (keyRow + position) * keyWidth + shared;
        const scores = Float64Array.from({ length: own + 1 - first }, (_, k) => {
          let score = 0;
          for (let i = 0; i < headSize; i++) score += query[at + i]! * key[keyAt(first + k) + i]!;
          score *= scale;
          return softCap === null ? score : softCap * Math.tanh(score / softCap);
        });
        const largest = scores.reduce((most, score) => Math.max(most, score), Number.NEGATIVE_INFINITY);
        const weights = scores.map((score) => Math.exp(score - largest));
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        for (let i = 0; i < headSize; i++) {
          let sum = 0;
          for (const [k, weight] of weights.entries()) sum += weight * value[keyAt(first + k) + i]!;
          out[at + i] = sum / total;
        }
      }
}
