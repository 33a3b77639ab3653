import { elementCount } from '../../base/shape.ts';
import { type Tensor, valuesIn, valuesOf } from '../../checkpoint/tensor.ts';

/** Weights in blocks along the inputs, as MatMulNBits and MatMulBnb4 of ONNX Runtime have them. */
export interface BlockWeight {
  /** Outputs and inputs. */
  readonly shape: readonly [number, number];
  readonly bits: number;
  readonly parts: readonly Tensor[];
  /** Decodes whole rows from `row` on. */
  decodeRows(row: number, out: Float32Array, signal?: AbortSignal): Promise<void>;
}

/** The operands of a node by their position; undefined where one is left out or no constant. */
export type Operands = readonly (Tensor | undefined)[];

/**
 * MatMulNBits: codes of 2, 4 or 8 bits, of which the first is in the lowest bits, in rows of whole blocks; a scale for
 * each block, and zero points as codes, packed in whole bytes for each row, or as floats. Undefined if the parts do not
 * fit together.
 */
export function nBitsWeight(
  [, codes, scales, zeros, order]: Operands,
  integers: ReadonlyMap<string, number>,
): BlockWeight | undefined {
  const attribute = (name: string, otherwise = 0) => integers.get(name) ?? otherwise;
  const [cols, rows, size, bits] = [attribute('K'), attribute('N'), attribute('block_size'), attribute('bits', 4)];
  if (!codes || !scales || !(rows > 0 && cols > 0 && size >= 8) || ![2, 4, 8].includes(bits)) return undefined;
  const groups = Math.ceil(cols / size);
  const rowBytes = (groups * size * bits) / 8;
  const zeroBytes = Math.ceil((groups * bits) / 8);
  const isFloat = zeros !== undefined && !/^[UI]\d+$/.test(zeros.dtype);
  const fits =
    attribute('weight_prepacked') === 0 &&
    elementCount(codes.shape) === rows * rowBytes &&
    elementCount(scales.shape) === rows * groups &&
    (!zeros || elementCount(zeros.shape) === rows * (isFloat ? groups : zeroBytes)) &&
    (!order || elementCount(order.shape) === cols);
  if (!fits) return undefined;
  const codeAt = (bytes: Float32Array, row: number, index: number) => {
    const bit = index * bits;
    return (bytes[row + (bit >> 3)]! >> (bit & 7)) & (2 ** bits - 1);
  };
  return {
    shape: [rows, cols],
    bits,
    parts: [codes, scales, zeros, order].filter((part) => part !== undefined),
    async decodeRows(row, out, signal) {
      const count = out.length / cols;
      const zeroLength = isFloat ? groups : zeroBytes;
      const [bytes, scale, zero, given] = await Promise.all([
        valuesIn(codes, row * rowBytes, count * rowBytes, signal),
        valuesIn(scales, row * groups, count * groups, signal),
        zeros && valuesIn(zeros, row * zeroLength, count * zeroLength, signal),
        order && valuesOf(order, signal),
      ]);
      for (let r = 0, i = 0; r < count; r++)
        for (let c = 0; c < cols; c++, i++) {
          const group = given ? Math.min(groups - 1, Math.max(0, given[c]!)) : Math.floor(c / size);
          const middle = !zero
            ? 2 ** (bits - 1)
            : isFloat
              ? zero[r * groups + group]!
              : codeAt(zero, r * zeroBytes, group);
          out[i] = (codeAt(bytes, r * rowBytes, c) - middle) * scale[r * groups + group]!;
        }
    },
  };
}

/** The values of the codes of bitsandbytes: FP4, of unusual order, and NF4 (Dettmers et al. 2023, appendix E). */
const BNB4: readonly (readonly number[])[] = [
  [0, 1 / 192, 2 / 3, 1, 1 / 3, 1 / 2, 1 / 6, 1 / 4],
  [
    -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
  ],
];

/**
 * MatMulBnb4: pairs of 4-bit codes, the first one in the high bits, with the largest absolute value of each block of
 * the flattened (outputs, inputs). Undefined if the parts do not fit together.
 */
export function bnb4Weight(
  [, codes, largest]: Operands,
  integers: ReadonlyMap<string, number>,
): BlockWeight | undefined {
  const attribute = (name: string) => integers.get(name) ?? 0;
  const [cols, rows, size] = [attribute('K'), attribute('N'), attribute('block_size')];
  const half = BNB4[attribute('quant_type')];
  if (!codes || !largest || !half || !(rows > 0 && cols > 0 && size > 0)) return undefined;
  const count = rows * cols;
  const fits =
    elementCount(codes.shape) === Math.ceil(count / 2) && elementCount(largest.shape) === Math.ceil(count / size);
  if (!fits) return undefined;
  const table = half.length === 16 ? half : [...half, ...half.map((value) => -value)];
  return {
    shape: [rows, cols],
    bits: 4,
    parts: [codes, largest],
    async decodeRows(row, out, signal) {
      const start = row * cols;
      const end = start + out.length;
      const [firstByte, firstBlock] = [Math.floor(start / 2), Math.floor(start / size)];
      const [bytes, scale] = await Promise.all([
        valuesIn(codes, firstByte, Math.ceil(end / 2) - firstByte, signal),
        valuesIn(largest, firstBlock, Math.ceil(end / size) - firstBlock, signal),
      ]);
      for (let i = 0, at = start; at < end; i++, at++) {
        const byte = bytes[(at >> 1) - firstByte]!;
        out[i] = table[at % 2 === 0 ? byte >> 4 : byte & 15]! * scale[Math.floor(at / size) - firstBlock]!;
      }
    },
  };
}
