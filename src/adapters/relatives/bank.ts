import { RankscopeError } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import { type Tensor, valuesOf } from '../../checkpoint/tensor.ts';
import { type FormLayer, type LayerParts, misfit, numberOr, partsOf } from './method.ts';

/**
 * VB-LoRA (Li, Han and Ji, "VB-LoRA: Extreme Parameter Efficient Fine-Tuning with Vector Banks", 2024): each piece of A
 * and B is a mean of the k vectors of a shared bank with the largest logits, weighted by the softmax of these. A file
 * has either all logits, or the places of the k vectors and all their weights but the last.
 */
export const formVblora: FormLayer = ({ own, shared, settings }) => {
  const banks = partsOf(shared, ['vblora_vector_bank']);
  if (typeof banks === 'string') return banks;
  const [bank] = banks as [Tensor];
  const [left, right] = [piecesOf(own, 'vblora_logits_B', settings), piecesOf(own, 'vblora_logits_A', settings)];
  if (typeof left === 'string') return left;
  if (typeof right === 'string') return right;
  const [count = 0, length = 0] = bank.shape;
  const tensors = [...left.tensors, ...right.tensors, bank];
  const [outTiles, rank] = left.sizes;
  const [ownRank, inTiles] = right.sizes;
  if (bank.shape.length !== 2 || rank !== ownRank || count * length === 0) return misfit(tensors);
  for (const { logits } of [left, right]) if (logits !== undefined && logits !== count) return misfit(tensors);
  const [outputs, inputs] = [outTiles * length, inTiles * length];
  const factors = async (signal: AbortSignal | undefined) => {
    const vectors = await valuesOf(bank, signal);
    const up = new Float64Array(outputs * rank);
    const columns = await left.load(count, signal);
    for (let tile = 0; tile < outTiles; tile++)
      for (let k = 0; k < rank; k++)
        for (const [place, weight] of columns[tile * rank + k]!)
          for (let l = 0; l < length; l++) up[(tile * length + l) * rank + k]! += weight * vectors[place * length + l]!;
    const down = new Float64Array(rank * inputs);
    const rows = await right.load(count, signal);
    for (const [index, piece] of rows.entries())
      for (const [place, weight] of piece)
        for (let l = 0; l < length; l++) down[index * length + l]! += weight * vectors[place * length + l]!;
    return { up, down };
  };
  return {
    stored: {
      kind: 'computed',
      method: 'vblora',
      tensors,
      outputs,
      inputs,
      rank,
      settings: [left.top, right.top],
      load: { factors },
    },
    scale: 1,
  };
};

type Piece = readonly (readonly [place: number, weight: number])[];

interface Pieces {
  readonly tensors: readonly Tensor[];
  /** The first two sizes. */
  readonly sizes: readonly [number, number];
  /** The number of logits of each piece, where all are stored. */
  readonly logits: number | undefined;
  readonly top: number;
  load(count: number, signal: AbortSignal | undefined): Promise<readonly Piece[]>;
}

function piecesOf(own: LayerParts['own'], word: string, settings: LayerParts['settings']): Pieces | string {
  const logits = own.get(word);
  if (logits) {
    const [first = 0, second = 0, each = 0] = logits.shape;
    const top = numberOr(settings.topk, 2);
    if (logits.shape.length !== 3 || first * second * each === 0 || !(top >= 1 && top <= each)) return misfit([logits]);
    return {
      tensors: [logits],
      sizes: [first, second],
      logits: each,
      top,
      load: async (_, signal) => {
        const values = await valuesOf(logits, signal);
        return Array.from({ length: first * second }, (_, k) =>
          largest(values.subarray(k * each, (k + 1) * each), top),
        );
      },
    };
  }
  const parts = partsOf(own, [`${word}_topk_indices`, `${word}_topk_weights`]);
  if (typeof parts === 'string') return parts;
  const [places, weights] = parts as [Tensor, Tensor];
  const [first = 0, second = 0, top = 0] = places.shape;
  const fits = places.shape.length === 3 && elementCount(weights.shape) === first * second * (top - 1);
  if (!fits || first * second * top === 0) return misfit(parts);
  return {
    tensors: parts,
    sizes: [first, second],
    logits: undefined,
    top,
    load: async (count, signal) => {
      const [indices, shares] = [await valuesOf(places, signal), await valuesOf(weights, signal)];
      return Array.from({ length: first * second }, (_, k) => {
        const own = [...shares.subarray(k * (top - 1), (k + 1) * (top - 1))];
        own.push(1 - own.reduce((sum, share) => sum + share, 0));
        return own.map((share, t) => [checkedPlace(places, indices[k * top + t]!, count), share] as const);
      });
    },
  };
}

function largest(logits: Float32Array, top: number): Piece {
  const order = [...logits.keys()].sort((one, other) => logits[other]! - logits[one]!).slice(0, top);
  const highest = logits[order[0]!]!;
  const powers = order.map((place) => Math.exp(logits[place]! - highest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return order.map((place, k) => [place, powers[k]! / sum]);
}

/** The whole numbers of a tensor, exactly: those above 2^24 have no neighbours in f32. */
export async function placesOf(tensor: Tensor, signal: AbortSignal | undefined): Promise<ArrayLike<number>> {
  const width = { I32: 4, I64: 8 }[tensor.dtype];
  if (!tensor.readStored || width === undefined) return valuesOf(tensor, signal);
  const bytes = await tensor.readStored(0, new Uint8Array(tensor.bytes), signal);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float64Array.from({ length: bytes.length / width }, (_, k) =>
    width === 4 ? view.getInt32(4 * k, true) : Number(view.getBigInt64(8 * k, true)),
  );
}

/** @throws RankscopeError 'malformed' for a place outside of `count`. */
export function checkedPlace({ name }: Tensor, place: number, count: number): number {
  if (Number.isInteger(place) && place >= 0 && place < count) return place;
  throw new RankscopeError(
    'malformed',
    name,
    `it points at ${place}, outside of the ${count} places there are`,
    'The file is damaged: copy or download it again',
  );
}
