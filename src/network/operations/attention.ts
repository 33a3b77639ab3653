import type { Backend, Matrix } from '../../devices/backend.ts';
import type { AttentionSettings } from '../configuration/decoder.ts';
import { causalSoftmax } from './causalSoftmax.ts';
import type { Rows } from './rows.ts';
import type { Run } from './run.ts';
import { softCap } from './softCap.ts';

/** Queries at a time: keys behind the last one are left out, and the scores of a long window take less memory. */
const TILE = 256;

export interface AttentionInput {
  readonly query: Rows;
  readonly key: Rows;
  readonly value: Rows;
}

/**
 * Causal attention of the window in the rows [first, first + length): softmax(scale q k^T) v for each head, written to
 * the same rows of `out`. Query heads that share keys and values (Ainslie et al., arXiv 2305.13245) are one product.
 */
export async function attention(
  { backend, pause }: Run,
  { query, key, value }: AttentionInput,
  first: number,
  length: number,
  settings: AttentionSettings,
  out: Rows,
): Promise<void> {
  const { heads, keyHeads, headSize, scale, window } = settings;
  const group = heads / keyHeads;
  for (let keyHead = 0; keyHead < keyHeads; keyHead++) {
    for (let from = 0; from < length; from += TILE) {
      await pause();
      const queries = Math.min(TILE, length - from);
      const start = window === null ? 0 : Math.max(0, from - window + 1);
      const keys = from + queries - start;
      const tile = { queries, keys, ahead: from - start, window: window ?? Number.POSITIVE_INFINITY };
      const ofHead = (rows: Rows, row: number, count: number, head: number, number: number) =>
        uploadedHeads(backend, rows, { row, count, head, number, headSize });
      const used: Matrix[] = [];
      const keep = (matrix: Matrix) => {
        used.push(matrix);
        return matrix;
      };
      try {
        const q = keep(await ofHead(query, first + from, queries, keyHead * group, group));
        const k = keep(await ofHead(key, first + start, keys, keyHead, 1));
        const v = keep(await ofHead(value, first + start, keys, keyHead, 1));
        const s = keep(await backend.allocate(group * queries, keys));
        await backend.multiply(s, q, k, { transposeB: true, alpha: scale });
        const scores = await backend.download(s);
        if (settings.softCap !== null) softCap(scores, settings.softCap);
        causalSoftmax(scores, tile);
        await backend.upload(s, 0, s.rows, (weights) => weights.set(scores));
        await backend.multiply(q, s, v);
        putHeads(await backend.download(q), out, {
          row: first + from,
          count: queries,
          head: keyHead * group,
          number: group,
          headSize,
        });
      } finally {
        for (const matrix of used) backend.free(matrix);
      }
    }
  }
}

/** Some heads of some rows: `number` of them from `head` on, `count` rows from `row` on. */
interface Part {
  readonly row: number;
  readonly count: number;
  readonly head: number;
  readonly number: number;
  readonly headSize: number;
}

/** The heads below each other, (number * count) x headSize; the caller frees it. */
async function uploadedHeads(backend: Backend, { cols, values }: Rows, part: Part): Promise<Matrix> {
  const matrix = await backend.allocate(part.number * part.count, part.headSize);
  await backend.upload(matrix, 0, matrix.rows, (out) => {
    forEachHead(part, cols, (at, to) => out.set(values.subarray(at, at + part.headSize), to));
  });
  return matrix;
}

function putHeads(heads: Float32Array, { cols, values }: Rows, part: Part): void {
  forEachHead(part, cols, (at, from) => values.set(heads.subarray(from, from + part.headSize), at));
}

/** Calls `visit` with the place of each head in rows of `cols` entries, and in the heads below each other. */
function forEachHead(
  { row, count, head, number, headSize }: Part,
  cols: number,
  visit: (at: number, inHeads: number) => void,
): void {
  for (let h = 0; h < number; h++)
    for (let r = 0; r < count; r++) visit((row + r) * cols + (head + h) * headSize, (h * count + r) * headSize);
}
