import { elementCount } from '../../base/shape.ts';
import { isObject } from '../../bytes/boundedJson.ts';
import { type Tensor, valuesIn, valuesOf } from '../tensor.ts';
import { bytesIn, type Directory, type Packed, quantizationOf, type Scheme } from './packed.ts';

/**
 * Packed integers of compressed-tensors: `weight_packed` (32-bit words of whole codes along each row, with zero at the
 * middle code), `weight_scale` per group, `weight_zero_point` (packed along each column) for asymmetric codes, and
 * `weight_g_idx` for groups of non-adjacent columns.
 */
export const compressed: Scheme = async (codes, directory) => {
  if (codes.dtype !== 'I32' || !codes.name.endsWith('.weight_packed') || codes.shape.length !== 2) return undefined;
  const module = codes.name.slice(0, -'.weight_packed'.length);
  const { tensors } = directory;
  const [scales, sizes, zeros, order] = ['scale', 'shape', 'zero_point', 'g_idx'].map((part) =>
    tensors.get(`${module}.weight_${part}`),
  );
  if (!scales || !sizes || elementCount(sizes.shape) !== 2) return undefined;
  const [rows = 0, cols = 0] = await valuesOf(sizes);
  const words = codes.shape[1]!;
  const bits = bitsOf(cols, words, directory);
  const groups = scales.shape.at(-1) ?? 0;
  if (rows !== codes.shape[0] || !(cols > 0) || !bits || !(groups > 0 && cols % groups === 0)) return undefined;
  if (elementCount(scales.shape) !== rows * groups || (order && elementCount(order.shape) !== cols)) return undefined;
  const perWord = Math.floor(32 / bits);
  if (zeros && (zeros.dtype !== 'I32' || zeros.shape.join() !== `${Math.ceil(rows / perWord)},${groups}`))
    return undefined;
  return {
    name: `${module}.weight`,
    shape: [rows, cols],
    dtype: `W${bits}`,
    parts: [codes, scales, sizes, zeros, order].filter((tensor) => tensor !== undefined),
    steps: scales,
    async decodeRows(row, out, signal) {
      const count = out.length / cols;
      const [bytes, scale, zero, given] = await Promise.all([
        bytesIn(codes, row * words * 4, count * words * 4, signal),
        valuesIn(scales, row * groups, count * groups, signal),
        zeros && zerosOf(zeros, bits, row, count, signal),
        order && valuesOf(order, signal),
      ]);
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const size = cols / groups;
      const mask = 2 ** bits - 1;
      const middle = 2 ** (bits - 1);
      for (let r = 0, i = 0; r < count; r++)
        for (let c = 0; c < cols; c++, i++) {
          const word = view.getUint32((r * words + Math.floor(c / perWord)) * 4, true);
          const q = (word >>> ((c % perWord) * bits)) & mask;
          const group = r * groups + Math.min(groups - 1, Math.max(0, given ? given[c]! : Math.floor(c / size)));
          out[i] = scale[group]! * (q - (zero ? zero[group]! : middle));
        }
    },
  } satisfies Packed;
};

/** The zero points of `count` rows from `row` on. Each word contains those of adjacent rows. */
async function zerosOf(
  zeros: Tensor,
  bits: number,
  row: number,
  count: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const groups = zeros.shape[1]!;
  const perWord = Math.floor(32 / bits);
  const first = Math.floor(row / perWord);
  const lines = Math.floor((row + count - 1) / perWord) + 1 - first;
  const bytes = await bytesIn(zeros, first * groups * 4, lines * groups * 4, signal);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const out = new Uint8Array(count * groups);
  for (let at = 0; at < out.length; at++) {
    const r = row + Math.floor(at / groups);
    const word = view.getUint32(((Math.floor(r / perWord) - first) * groups + (at % groups)) * 4, true);
    out[at] = (word >>> ((r % perWord) * bits)) & (2 ** bits - 1);
  }
  return out;
}

/**
 * The number of bits with which a row takes `words` words. Where several fit, those that the configuration names come
 * first.
 */
function bitsOf(cols: number, words: number, directory: Directory): number | undefined {
  const { config_groups: groups } = quantizationOf(directory);
  const named = Object.values(isObject(groups) ? groups : {}).map((group) => {
    const weights = isObject(group) ? group.weights : undefined;
    return isObject(weights) ? weights.num_bits : undefined;
  });
  return [...named, 4, 8, 2, 3, 5, 6, 7].find(
    (bits): bits is number =>
      Number.isInteger(bits) &&
      (bits as number) >= 2 &&
      (bits as number) <= 8 &&
      Math.ceil(cols / Math.floor(32 / (bits as number))) === words,
  );
}
