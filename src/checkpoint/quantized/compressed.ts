import { elementCount } from '../../base/shape.ts';
import { isObject } from '../../bytes/boundedJson.ts';
import { type Tensor, valuesIn, valuesOf } from '../tensor.ts';
import { bytesIn, type Directory, type Packed, quantizationOf, type Scheme } from './packed.ts';

/**
 * Packed integers of compressed-tensors, of a matrix or of a stack of matrices: `weight_packed` (32-bit words of codes
 * along each row, with zero at the middle code), `weight_scale` per group, `weight_zero_point` (packed along each
 * column) for asymmetric codes, and `weight_g_idx` for groups of non-adjacent columns. Since 2026 a code may continue
 * in the next word; before, words held whole codes.
 */
export const compressed: Scheme = async (codes, directory) => {
  const dimensions = codes.shape.length;
  if (codes.dtype !== 'I32' || !codes.name.endsWith('.weight_packed') || dimensions < 2 || dimensions > 3)
    return undefined;
  const module = codes.name.slice(0, -'.weight_packed'.length);
  const { tensors } = directory;
  const [scales, sizes, zeros, order] = ['scale', 'shape', 'zero_point', 'g_idx'].map((part) =>
    tensors.get(`${module}.weight_${part}`),
  );
  if (!scales || !sizes || elementCount(sizes.shape) < 2 || elementCount(sizes.shape) > 3) return undefined;
  const cols = (await valuesOf(sizes)).at(-1)!;
  const words = codes.shape.at(-1)!;
  const [stack, rows] = dimensions === 3 ? (codes.shape as [number, number]) : [1, codes.shape[0]!];
  const packing = packingOf(cols, words, directory);
  const groups = scales.shape.at(-1) ?? 0;
  if (!(cols > 0) || !packing || !(groups > 0 && cols % groups === 0)) return undefined;
  if (elementCount(scales.shape) !== stack * rows * groups || (order && elementCount(order.shape) !== cols))
    return undefined;
  const layout = { packing, stack, rows, groups };
  const zeroWords = stack * wordsFor(rows, packing) * groups;
  if (zeros && (zeros.dtype !== 'I32' || elementCount(zeros.shape) !== zeroWords)) return undefined;
  const { bits, split } = packing;
  return {
    name: `${module}.weight`,
    shape: [...codes.shape.slice(0, -1), cols],
    dtype: `W${bits}`,
    parts: [codes, scales, sizes, zeros, order].filter((tensor) => tensor !== undefined),
    steps: scales,
    async decodeRows(row, out, signal) {
      const count = out.length / cols;
      const [bytes, scale, zero, given] = await Promise.all([
        bytesIn(codes, row * words * 4, count * words * 4, signal),
        valuesIn(scales, row * groups, count * groups, signal),
        zeros && zerosOf(zeros, layout, row, count, signal),
        order && valuesOf(order, signal),
      ]);
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const size = cols / groups;
      const mask = 2 ** bits - 1;
      const middle = 2 ** (bits - 1);
      const perWord = Math.floor(32 / bits);
      for (let r = 0, i = 0; r < count; r++)
        for (let c = 0; c < cols; c++, i++) {
          const bit = split ? c * bits : Math.floor(c / perWord) * 32 + (c % perWord) * bits;
          const at = (r * words + (bit >> 5)) * 4;
          const shift = bit & 31;
          let q = view.getUint32(at, true) >>> shift;
          if (shift + bits > 32) q |= view.getUint32(at + 4, true) << (32 - shift);
          const group = r * groups + Math.min(groups - 1, Math.max(0, given ? given[c]! : Math.floor(c / size)));
          out[i] = scale[group]! * ((q & mask) - (zero ? zero[group]! : middle));
        }
    },
  } satisfies Packed;
};

/** How codes are packed into 32-bit words. */
interface Packing {
  readonly bits: number;
  /** Whether a code may continue in the next word. */
  readonly split: boolean;
}

/** The number of words that hold `count` codes. */
function wordsFor(count: number, { bits, split }: Packing): number {
  return Math.ceil(split ? (count * bits) / 32 : count / Math.floor(32 / bits));
}

/**
 * The zero points of `count` rows from `row` on, row-major. Each line of words contains those of adjacent rows of one
 * slice of the stack.
 */
async function zerosOf(
  zeros: Tensor,
  { packing, rows, groups }: { packing: Packing; rows: number; groups: number },
  row: number,
  count: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const { bits, split } = packing;
  const lines = wordsFor(rows, packing);
  const perWord = Math.floor(32 / bits);
  const out = new Uint8Array(count * groups);
  const last = row + count - 1;
  for (let slice = Math.floor(row / rows); slice <= Math.floor(last / rows); slice++) {
    const bytes = await bytesIn(zeros, slice * lines * groups * 4, lines * groups * 4, signal);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let r = Math.max(row, slice * rows); r <= Math.min(last, (slice + 1) * rows - 1); r++) {
      const inSlice = r % rows;
      const bit = split ? inSlice * bits : Math.floor(inSlice / perWord) * 32 + (inSlice % perWord) * bits;
      const shift = bit & 31;
      for (let group = 0; group < groups; group++) {
        const at = ((bit >> 5) * groups + group) * 4;
        let code = view.getUint32(at, true) >>> shift;
        if (shift + bits > 32) code |= view.getUint32(at + 4 * groups, true) << (32 - shift);
        out[(r - row) * groups + group] = code & (2 ** bits - 1);
      }
    }
  }
  return out;
}

/**
 * The packing with which a row of `cols` codes takes `words` words. Where several fit, bits that the configuration
 * names come first.
 */
function packingOf(cols: number, words: number, directory: Directory): Packing | undefined {
  const { config_groups: groups } = quantizationOf(directory);
  const named = Object.values(isObject(groups) ? groups : {}).map((group) => {
    const weights = isObject(group) ? group.weights : undefined;
    return isObject(weights) ? weights.num_bits : undefined;
  });
  for (const bits of [...named, 4, 8, 2, 3, 5, 6, 7]) {
    if (!Number.isInteger(bits) || (bits as number) < 2 || (bits as number) > 8) continue;
    for (const split of [true, false]) {
      const packing = { bits: bits as number, split };
      if (wordsFor(cols, packing) === words) return packing;
    }
  }
  return undefined;
}
