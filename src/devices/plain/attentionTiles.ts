import { throwIfCancelled } from '../../base/errors.ts';
import type { AttentionOptions } from '../networkOperations.ts';
import type { ScoreTile } from './causalSoftmax.ts';

/** Queries at a time: keys behind the last one are left out, and the scores of a long window take less memory. */
const TILE = 256;

/** Some heads of some rows: `number` of them from `head` on, `count` rows from `row` on. */
interface HeadRows {
  readonly row: number;
  readonly count: number;
  readonly head: number;
  readonly number: number;
}

/** Queries of all heads that share keys, and the keys that they see. */
export interface AttentionTile {
  readonly queries: HeadRows;
  readonly keys: HeadRows;
  readonly scores: ScoreTile;
}

/** @throws RankscopeError 'cancelled' */
export function* attentionTiles(options: AttentionOptions): Generator<AttentionTile> {
  const { heads, keyHeads, spans, window, signal } = options;
  const group = heads / keyHeads;
  for (const span of spans)
    for (let keyHead = 0; keyHead < keyHeads; keyHead++)
      for (let from = 0; from < span.rows; from += TILE) {
        throwIfCancelled(signal, 'attention');
        const queries = Math.min(TILE, span.rows - from);
        const position = span.keys - span.rows + from;
        const first = window === null ? 0 : Math.max(0, position - window + 1);
        const keys = position + queries - first;
        yield {
          queries: { row: span.row + from, count: queries, head: keyHead * group, number: group },
          keys: { row: span.keyRow + first, count: keys, head: keyHead, number: 1 },
          scores: { queries, keys, ahead: position - first, window: window ?? Number.POSITIVE_INFINITY },
        };
      }
}

/** The heads below each other, (number * count) x headSize. @param heads of a row of `values` */
export function headsOf(values: Float32Array, heads: number, headSize: number, part: HeadRows): Float32Array {
  const out = new Float32Array(part.number * part.count * headSize);
  forEachHead(part, heads, headSize, (at, place) => out.set(values.subarray(at, at + headSize), place));
  return out;
}

/** Calls `visit` with the place of each head in rows of `heads` heads, and in the heads below each other. */
export function forEachHead(
  { row, count, head, number }: HeadRows,
  heads: number,
  headSize: number,
  visit: (at: number, place: number) => void,
): void {
  for (let h = 0; h < number; h++)
    for (let r = 0; r < count; r++) visit(((row + r) * heads + head + h) * headSize, (h * count + r) * headSize);
}
