import { smallFloatTable } from '../../base/smallFloats.ts';
import { bytesIn, elementsOf, type Packed, type Scheme, valuesIn, valuesOf } from './packed.ts';

/**
 * 8-bit floats or integers with scales beside them: `weight_scale_inv` per block (DeepSeek), `weight_scale` per matrix or per row
 * (compressed-tensors, FBGEMM). Either way w = scale q.
 */
export const scaled: Scheme = (codes, { tensors }) => {
  if (!/^(F8_E4M3|F8_E5M2|I8)$/.test(codes.dtype) || codes.shape.length !== 2 || !codes.name.endsWith('.weight'))
    return undefined;
  const module = codes.name.slice(0, -'.weight'.length);
  const scales = tensors.get(`${module}.weight_scale_inv`) ?? tensors.get(`${module}.weight_scale`);
  if (!scales) return undefined;
  const [rows, cols] = codes.shape as [number, number];
  const grid = gridOf(scales.shape, rows, cols);
  if (!grid) return undefined;
  const input = tensors.get(`${module}.input_scale`);
  const [gridRows, gridCols, blockRows, blockCols] = grid;
  return {
    name: codes.name,
    shape: codes.shape,
    dtype: `${codes.dtype} scaled`,
    parts: [codes, scales, ...(input ? [input] : [])],
    async decodeRows(base, row, out, signal) {
      const first = Math.floor(row / blockRows);
      const last = Math.min(gridRows, Math.floor((row + out.length / cols - 1) / blockRows) + 1);
      const scale = await valuesIn(base, scales, first * gridCols, (last - first) * gridCols, signal);
      await base.read(codes, row * cols, out, signal);
      for (let i = 0, r = row; i < out.length; r++) {
        const line = (Math.floor(r / blockRows) - first) * gridCols;
        for (let c = 0; c < cols; c++, i++) out[i]! *= scale[line + Math.floor(c / blockCols)]!;
      }
    },
  } satisfies Packed;
};

/** How many scales there are down and across, and the rows and columns that one covers. Blocks have a power of two of each. */
function gridOf(shape: readonly number[], rows: number, cols: number): [number, number, number, number] | undefined {
  const count = shape.reduce((product, size) => product * size, 1);
  if (count === 1) return [1, 1, rows, cols];
  if (count === rows && shape[0] === rows) return [rows, 1, 1, cols];
  if (shape.length !== 2 || !(count > 0)) return undefined;
  const [down, across] = shape as [number, number];
  const block = (size: number, pieces: number) =>
    [128, 64, 32, 16, 256, 512].find((length) => Math.ceil(size / length) === pieces) ??
    (pieces === 1 ? size : undefined);
  const [blockRows, blockCols] = [block(rows, down), block(cols, across)];
  return blockRows && blockCols ? [down, across, blockRows, blockCols] : undefined;
}

const FP4 = { exponentBits: 2, mantissaBits: 1, bias: 1, special: 'none' } as const;

/** MXFP4 as gpt-oss stores it: `_blocks` (..., groups, 16 bytes: 32 codes, the low one first) and `_scales` (powers of two, bias 127). */
export const mxfp4: Scheme = (codes, { tensors }) => {
  if (codes.dtype !== 'U8' || !codes.name.endsWith('_blocks') || codes.shape.length < 3 || codes.shape.at(-1) !== 16)
    return undefined;
  const scales = tensors.get(codes.name.replace(/_blocks$/, '_scales'));
  if (scales?.dtype !== 'U8' || scales.shape.join() !== codes.shape.slice(0, -1).join()) return undefined;
  const groups = codes.shape.at(-2)!;
  const cols = groups * 32;
  return {
    name: codes.name.replace(/_blocks$/, ''),
    shape: [...codes.shape.slice(0, -2), cols],
    dtype: 'MXFP4',
    parts: [codes, scales],
    async decodeRows(base, row, out, signal) {
      const count = out.length / cols;
      const [bytes, exponents] = await Promise.all([
        bytesIn(base, codes, row * groups * 16, count * groups * 16, signal),
        bytesIn(base, scales, row * groups, count * groups, signal),
      ]);
      const values = smallFloatTable(FP4);
      for (let group = 0, i = 0; group < exponents.length; group++) {
        const scale = 2 ** (exponents[group]! - 127);
        for (const byte of bytes.subarray(group * 16, group * 16 + 16)) {
          out[i++] = values[byte & 15]! * scale;
          out[i++] = values[byte >> 4]! * scale;
        }
      }
    },
  } satisfies Packed;
};

/** compressed-tensors' packed integers: `weight_packed` along each row, the zero in the middle, `weight_scale` per group. */
export const compressed: Scheme = async (codes, { tensors, base }) => {
  if (codes.dtype !== 'I32' || !codes.name.endsWith('.weight_packed') || codes.shape.length !== 2) return undefined;
  const module = codes.name.slice(0, -'.weight_packed'.length);
  const [scales, sizes] = [tensors.get(`${module}.weight_scale`), tensors.get(`${module}.weight_shape`)];
  if (!scales || !sizes || elementsOf(sizes) !== 2 || tensors.has(`${module}.weight_zero_point`)) return undefined;
  const [rows, cols] = [...(await valuesOf(base, sizes))] as [number, number];
  const words = codes.shape[1]!;
  const bits = [4, 8, 2].find((each) => Math.ceil((cols * each) / 32) === words);
  const groups = scales.shape.at(-1) ?? 0;
  if (
    rows !== codes.shape[0] ||
    !(cols > 0) ||
    !bits ||
    elementsOf(scales) !== rows * groups ||
    !(groups > 0 && cols % groups === 0)
  )
    return undefined;
  const perWord = 32 / bits;
  return {
    name: `${module}.weight`,
    shape: [rows, cols],
    dtype: `W${bits}`,
    parts: [codes, scales, sizes],
    steps: scales,
    async decodeRows(base, row, out, signal) {
      const count = out.length / cols;
      const [bytes, scale] = await Promise.all([
        bytesIn(base, codes, row * words * 4, count * words * 4, signal),
        valuesIn(base, scales, row * groups, count * groups, signal),
      ]);
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const size = cols / groups;
      for (let r = 0, i = 0; r < count; r++)
        for (let c = 0; c < cols; c++, i++) {
          const word = view.getUint32((r * words + Math.floor(c / perWord)) * 4, true);
          const q = (word >>> ((c % perWord) * bits)) & ((1 << bits) - 1);
          out[i] = scale[r * groups + Math.floor(c / size)]! * (q - 2 ** (bits - 1));
        }
    },
  } satisfies Packed;
};
