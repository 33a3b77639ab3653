import type { Backend, Matrix } from '../backend.ts';
import type { AttentionInput, AttentionOptions } from '../networkOperations.ts';
import { rescale } from './activate.ts';
import { attentionTiles, forEachHead, headsOf } from './attentionTiles.ts';
import { causalSoftmax, type ScoreTile } from './causalSoftmax.ts';

type Products = Pick<Backend, 'allocate' | 'free' | 'upload' | 'download' | 'multiply'>;

/** Attention with both products on the device and the softmax on the host, for some heads and queries at a time. */
export async function attendByProducts(
  device: Products,
  out: Matrix,
  input: AttentionInput,
  options: AttentionOptions,
): Promise<void> {
  const { heads, keyHeads, headSize } = options;
  const query = await device.download(input.query);
  const key = await device.download(input.key);
  const value = await device.download(input.value);
  const result = await device.download(out);
  for (const { queries, keys, scores } of attentionTiles(options)) {
    const weighted = await weightedValues(device, options, scores, [
      headsOf(query, heads, headSize, queries),
      headsOf(key, keyHeads, headSize, keys),
      headsOf(value, keyHeads, headSize, keys),
    ]);
    forEachHead(queries, heads, headSize, (at, place) => result.set(weighted.subarray(place, place + headSize), at));
  }
  await device.upload(out, 0, out.rows, (into) => into.set(result));
}

/** The gradients of queries, keys and values in the same way, with five products. */
export async function attendBackByProducts(
  device: Products,
  out: AttentionInput,
  gradient: Matrix,
  input: AttentionInput,
  options: AttentionOptions,
): Promise<void> {
  const { heads, keyHeads, headSize, spans } = options;
  const query = await device.download(input.query);
  const key = await device.download(input.key);
  const value = await device.download(input.value);
  const own = await device.download(gradient);
  const [ofQuery, ofKey, ofValue] = [
    await device.download(out.query),
    await device.download(out.key),
    await device.download(out.value),
  ];
  const keyWidth = keyHeads * headSize;
  for (const { keyRow, keys } of spans)
    for (const each of [ofKey, ofValue]) each.fill(0, keyRow * keyWidth, (keyRow + keys) * keyWidth);
  for (const { queries, keys, scores } of attentionTiles(options)) {
    const parts = await tileGradients(device, options, scores, [
      headsOf(query, heads, headSize, queries),
      headsOf(key, keyHeads, headSize, keys),
      headsOf(value, keyHeads, headSize, keys),
      headsOf(own, heads, headSize, queries),
    ]);
    const [q, k, v] = parts as [Float32Array, Float32Array, Float32Array];
    forEachHead(queries, heads, headSize, (at, place) => ofQuery.set(q.subarray(place, place + headSize), at));
    forEachHead(keys, keyHeads, headSize, (at, place) => {
      for (let i = 0; i < headSize; i++) {
        ofKey[at + i]! += k[place + i]!;
        ofValue[at + i]! += v[place + i]!;
      }
    });
  }
  await device.upload(out.query, 0, out.query.rows, (into) => into.set(ofQuery));
  await device.upload(out.key, 0, out.key.rows, (into) => into.set(ofKey));
  await device.upload(out.value, 0, out.value.rows, (into) => into.set(ofValue));
}

/** softmax(scale q k^T) v of one tile. */
function weightedValues(
  device: Products,
  options: AttentionOptions,
  tile: ScoreTile,
  parts: readonly Float32Array[],
): Promise<Float32Array> {
  return withMatrices(device, options.headSize, parts, async ([q, k, v], take) => {
    const s = await take(q!.rows, tile.keys);
    const scores = await scoresOf(device, options, s, q!, k!);
    causalSoftmax(scores, tile);
    await device.upload(s, 0, s.rows, (into) => into.set(scores));
    await device.multiply(q!, s, v!);
    return device.download(q!);
  });
}

/** The gradients of the queries, keys and values of one tile. @param parts q, k, v and the gradient of the outputs */
function tileGradients(
  device: Products,
  options: AttentionOptions,
  tile: ScoreTile,
  parts: readonly Float32Array[],
): Promise<Float32Array[]> {
  const { scale, softCap, headSize } = options;
  return withMatrices(device, headSize, parts, async ([q, k, v, g], take) => {
    const s = await take(q!.rows, tile.keys);
    const weights = await scoresOf(device, options, s, q!, k!);
    const slopes = softCap === null ? undefined : weights.map((score) => 1 - (score / softCap) ** 2);
    causalSoftmax(weights, tile);
    await device.multiply(s, g!, v!, { transposeB: true });
    const ofScores = await device.download(s);
    for (let at = 0; at < weights.length; at += tile.keys) {
      let mean = 0;
      for (let i = at; i < at + tile.keys; i++) mean += weights[i]! * ofScores[i]!;
      for (let i = at; i < at + tile.keys; i++)
        ofScores[i] = scale * weights[i]! * (ofScores[i]! - mean) * (slopes ? slopes[i]! : 1);
    }
    const [ofQuery, ofKey, ofValue] = [
      await take(q!.rows, headSize),
      await take(tile.keys, headSize),
      await take(tile.keys, headSize),
    ];
    await device.upload(s, 0, s.rows, (into) => into.set(weights));
    await device.multiply(ofValue, s, g!, { transposeA: true });
    await device.upload(s, 0, s.rows, (into) => into.set(ofScores));
    await device.multiply(ofQuery, s, k!);
    await device.multiply(ofKey, s, q!, { transposeA: true });
    return [await device.download(ofQuery), await device.download(ofKey), await device.download(ofValue)];
  });
}

/** The scores of a tile behind the cap, computed in s. */
async function scoresOf(
  device: Products,
  { scale, softCap }: AttentionOptions,
  s: Matrix,
  q: Matrix,
  k: Matrix,
): Promise<Float32Array> {
  await device.multiply(s, q, k, { transposeB: true, alpha: scale });
  const scores = await device.download(s);
  if (softCap !== null) rescale(scores, 1, softCap);
  return scores;
}

/** Calls `use` with the values in matrices of `headSize` columns, and with what takes more; all are freed. */
async function withMatrices<Result>(
  device: Products,
  headSize: number,
  parts: readonly Float32Array[],
  use: (matrices: readonly Matrix[], take: (rows: number, cols: number) => Promise<Matrix>) => Promise<Result>,
): Promise<Result> {
  const held: Matrix[] = [];
  const take = async (rows: number, cols: number) => {
    const matrix = await device.allocate(rows, cols);
    held.push(matrix);
    return matrix;
  };
  try {
    const matrices: Matrix[] = [];
    for (const values of parts) {
      const matrix = await take(values.length / headSize, headSize);
      await device.upload(matrix, 0, matrix.rows, (into) => into.set(values));
      matrices.push(matrix);
    }
    return await use(matrices, take);
  } finally {
    for (const matrix of held) device.free(matrix);
  }
}
