import type { AttentionSettings } from '../configuration/decoder.ts';
import { emptyRows, type Rows } from './rows.ts';

/**
 * Queries, keys and values out of the outputs of a fused matrix: all queries, all keys, all values, or (`byHead`)
 * query, key and value of the first head, then of the next one.
 */
export function splitFused(
  { rows, cols, values }: Rows,
  { heads, keyHeads, headSize }: AttentionSettings,
  byHead: boolean,
): [Rows, Rows, Rows] {
  const counts = [heads, keyHeads, keyHeads] as const;
  const parts = counts.map((count) => emptyRows(rows, count * headSize)) as [Rows, Rows, Rows];
  const starts = [0, heads, heads + keyHeads] as const;
  for (const [k, part] of parts.entries())
    for (let row = 0; row < rows; row++)
      for (let head = 0; head < counts[k]!; head++) {
        const slot = byHead ? 3 * head + k : starts[k]! + head;
        const from = row * cols + slot * headSize;
        part.values.set(values.subarray(from, from + headSize), row * part.cols + head * headSize);
      }
  return parts;
}
