import { elementCount } from '../../base/shape.ts';
import { E4M3, smallFloatTable } from '../../base/smallFloats.ts';
import { type Tensor, valuesIn, valuesOf } from '../tensor.ts';
import { companionsOf } from './companions.ts';
import { powersOfTwo } from './exponents.ts';
import { type FloatCodes, floatCodes } from './floatCodes.ts';
import { bytesIn, type Scheme } from './packed.ts';

/** Reads `count` scales from `start` on. */
type ReadScales = (scales: Tensor, start: number, count: number, signal?: AbortSignal) => Promise<Float32Array>;

/** As `FloatCodes`, with scales that are stored row by row. */
function byRows(layout: Omit<FloatCodes, 'groups' | 'scalesOf'>, read: ReadScales) {
  const { scales } = layout;
  const groups = scales.shape.at(-1)!;
  return floatCodes({
    ...layout,
    groups,
    scalesOf: (row, count, signal) => read(scales, row * groups, count * groups, signal),
  });
}

/**
 * MXFP4 as gpt-oss stores it: `_blocks` (..., groups, 16 bytes with 32 codes) and `_scales` (powers of two with a bias
 * of 127); in the files of OpenAI themselves `.blocks` and `.scales`. Experts are (out, in) there, and (in, out) in the
 * models of transformers, which transposes them as it decodes them.
 */
export const mxfp4: Scheme = (codes, { tensors }) => {
  const [, name, separator] = /^(.*)([._])blocks$/.exec(codes.name) ?? [];
  if (name === undefined || codes.dtype !== 'U8' || codes.shape.length < 3 || codes.shape.at(-1) !== 16)
    return undefined;
  const scales = tensors.get(`${name}${separator}scales`);
  if (!scales || !/^(U8|F8_E8M0)$/.test(scales.dtype)) return undefined;
  if (scales.shape.join() !== codes.shape.slice(0, -1).join()) return undefined;
  const shape = [...codes.shape.slice(0, -2), codes.shape.at(-2)! * 32];
  const layout = { name, shape, dtype: 'MXFP4', codes, scales, extras: [], transposed: false } as const;
  const packed = byRows(layout, powersOfTwo);
  return separator === '_' && shape.length === 3 ? { ...packed, turnedWhenDecoded: true } : packed;
};

/**
 * Pairs of 4-bit floats along each row, with a scale for each 16 or 32 of them, of a matrix or a stack of matrices:
 * `weight_packed` or `weight` with `weight_scale` (powers of two; or 8-bit floats, divided by `weight_global_scale` in
 * compressed-tensors and multiplied by `weight_scale_2` in ModelOpt), or DeepSeek's I8 with `scale` or
 * `weight_scale_inv`.
 */
export const fp4: Scheme = (codes, directory) => {
  const [, stem] = /^(.*?)(_packed)?$/.exec(codes.name) ?? [];
  if (stem === undefined || !/^(U8|I8|F4)$/.test(codes.dtype) || codes.shape.length < 2 || codes.shape.length > 3)
    return undefined;
  const part = (suffix: string) => directory.tensors.get(stem + suffix);
  const { scales: beside, extras } = companionsOf(stem, directory);
  const scales = stem === codes.name ? beside : part('_scale');
  if (!scales || scales.shape.length !== codes.shape.length) return undefined;
  const shape = [...codes.shape.slice(0, -1), codes.shape.at(-1)! * (codes.dtype === 'F4' ? 1 : 2)];
  const groups = scales.shape.at(-1)!;
  const size = shape.at(-1)! / groups;
  if (scales.shape.slice(0, -1).join() !== shape.slice(0, -1).join()) return undefined;
  // Four 6-bit floats in three bytes: 24 bytes for each scale.
  if (size === 48 && codes.dtype === 'U8' && scales.dtype === 'U8' && stem !== codes.name) {
    const wide = [...shape.slice(0, -1), groups * 32];
    return byRows({ name: stem, shape: wide, dtype: 'MXFP6', codes, scales, extras, bits: 6 }, powersOfTwo);
  }
  if (size !== 16 && size !== 32) return undefined;
  const divisor = part('_global_scale');
  const overall = divisor ?? part('_scale_2');
  const layout = { name: stem, shape, codes, scales };
  if (scales.dtype === 'U8' || scales.dtype === 'F8_E8M0')
    return overall ? undefined : byRows({ ...layout, dtype: 'MXFP4', extras }, powersOfTwo);
  const slices = shape.length > 2 ? shape[0]! : 1;
  const count = overall && elementCount(overall.shape);
  if (scales.dtype !== 'F8_E4M3' || !overall || (count !== 1 && count !== slices)) return undefined;
  const perSlice = elementCount(scales.shape) / count;
  return byRows({ ...layout, dtype: 'NVFP4', extras: [overall, ...extras] }, async (from, start, length, signal) => {
    const [values, whole] = await Promise.all([valuesIn(from, start, length, signal), valuesOf(overall, signal)]);
    return values.map((value, i) => {
      const factor = whole[Math.floor((start + i) / perSlice)]!;
      return divisor ? value / factor : value * factor;
    });
  });
};

/**
 * The float modes of MLX: 32-bit words of codes along each row, and `scales` of one byte each. The number of words in a
 * group tells the modes apart: `nvfp4` (groups of 16, 8-bit floats as scales), `mxfp4` and `mxfp8` (groups of 32,
 * powers of two as scales).
 */
export const mlxFloats: Scheme = (codes, { tensors }) => {
  if (codes.dtype !== 'U32' || !codes.name.endsWith('.weight') || codes.shape.length < 2) return undefined;
  const module = codes.name.slice(0, -'.weight'.length);
  const scales = tensors.get(`${module}.scales`);
  if (scales?.dtype !== 'U8' || tensors.has(`${module}.biases`) || tensors.has(`${module}.global_scale`))
    return undefined;
  if (scales.shape.slice(0, -1).join() !== codes.shape.slice(0, -1).join()) return undefined;
  const words = codes.shape.at(-1)!;
  const mode = MLX_MODES.get(words / scales.shape.at(-1)!);
  if (!mode) return undefined;
  const { dtype, bits, read } = mode;
  const shape = [...codes.shape.slice(0, -1), (words * 32) / bits];
  return byRows({ name: codes.name, shape, dtype, codes, scales, extras: [], bits, transposed: false }, read);
};

/** Scales that are E4M3 floats, although the file declares them as integers. */
async function e4m3Floats(scales: Tensor, start: number, count: number, signal?: AbortSignal): Promise<Float32Array> {
  const values = smallFloatTable(E4M3);
  return Float32Array.from(await bytesIn(scales, start, count, signal), (code) => values[code]!);
}

/** The float modes of MLX by the 32-bit words of a group. */
const MLX_MODES: ReadonlyMap<number, { readonly dtype: string; readonly bits: 4 | 8; readonly read: ReadScales }> =
  new Map([
    [2, { dtype: 'NVFP4', bits: 4, read: e4m3Floats }],
    [4, { dtype: 'MXFP4', bits: 4, read: powersOfTwo }],
    [8, { dtype: 'MXFP8', bits: 8, read: powersOfTwo }],
  ] as const);
