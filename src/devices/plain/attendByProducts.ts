import { throwIfCancelled } from '../../base/errors.ts';
import type { Backend, Matrix } from '../backend.ts';
import type { AttentionInput, AttentionOptions } from '../networkOperations.ts';
import { rescale } from './activate.ts';
import { causalSoftmax, type ScoreTile } from './causalSoftmax.ts';

type Products = Pick<Backend, 'allocate' | 'free' | 'upload' | 'download' | 'multiply'>;

/** Queries at a time: keys behind the last one are left out, and the scores of a long window take less memory. */
const TILE = 256;

/** Some heads of some rows: `number` of them from `head` on, `count` rows from `row` on. */
interface Part {
  readonly row: number;
  readonly count: number;
  readonly head: number;
  readonly number: number;
}

/** Attention with both products on the device and the softmax on the host, for some heads and queries at a time. */
export async function attendByProducts(
  device: Products,
  out: Matrix,
  input: AttentionInput,
  options: AttentionOptions,
): Promise<void> {
  const { heads, keyHeads, headSize, spans, window, signal } = options;
  const query = await device.download(input.query);
  const key = await device.download(input.key);
  const value = await device.download(input.value);
  const result = await device.download(out);
  const group = heads / keyHeads;
  for (const span of spans)
    for (let keyHead = 0; keyHead < keyHeads; keyHead++)
      for (let from = 0; from < span.rows; from += TILE) {
        throwIfCancelled(signal, 'attention');
        const queries = Math.min(TILE, span.rows - from);
        const position = span.keys - span.rows + from;
        const first = window === null ? 0 : Math.max(0, position - window + 1);
        const keys = position + queries - first;
        const own = { row: span.row + from, count: queries, head: keyHead * group, number: group };
        const seen = { row: span.keyRow + first, count: keys, head: keyHead, number: 1 };
        const tile = { queries, keys, ahead: position - first, window: window ?? Number.POSITIVE_INFINITY };
        const weighted = await weightedValues(device, options, tile, [
          headsOf(query, heads, headSize, own),
          headsOf(key, keyHeads, headSize, seen),
          headsOf(value, keyHeads, headSize, seen),
        ]);
        forEachHead(own, heads, headSize, (at, place) => result.set(weighted.subarray(place, place + headSize), at));
      }
  await device.upload(out, 0, out.rows, (into) => into.set(result));
}

/** softmax(scale q k^T) v of one tile. */
async function weightedValues(
  device: Products,
  { headSize, scale, softCap }: AttentionOptions,
  tile: ScoreTile,
  parts: readonly Float32Array[],
): Promise<Float32Array> {
  const held: Matrix[] = [];
  const put = async (values: Float32Array) => {
    const matrix = await device.allocate(values.length / headSize, headSize);
    held.push(matrix);
    await device.upload(matrix, 0, matrix.rows, (into) => into.set(values));
    return matrix;
  };
  try {
    const [q, k, v] = [await put(parts[0]!), await put(parts[1]!), await put(parts[2]!)];
    const s = await device.allocate(q.rows, tile.keys);
    held.push(s);
    await device.multiply(s, q, k, { transposeB: true, alpha: scale });
    const scores = await device.download(s);
    if (softCap !== null) rescale(scores, 1, softCap);
    causalSoftmax(scores, tile);
    await device.upload(s, 0, s.rows, (into) => into.set(scores));
    await device.multiply(q, s, v);
    return await device.download(q);
  } finally {
    for (const matrix of held) device.free(matrix);
  }
}

/** The heads below each other, (number * count) x headSize. */
function headsOf(values: Float32Array, heads: number, headSize: number, part: Part): Float32Array {
  const out = new Float32Array(part.number * part.count * headSize);
  forEachHead(part, heads, headSize, (at, place) => out.set(values.subarray(at, at + headSize), place));
  return out;
}

/** Calls `visit` with the place of each head in rows of `heads` heads, and in the heads below each other. */
function forEachHead(
  { row, count, head, number }: Part,
  heads: number,
  headSize: number,
  visit: (at: number, place: number) => void,
): void {
  for (let h = 0; h < number; h++)
    for (let r = 0; r < count; r++) visit(((row + r) * heads + head + h) * headSize, (h * count + r) * headSize);
}
