import { elementCount } from '../../base/shape.ts';
import { E2M1, E4M3, smallFloatTable } from '../../base/smallFloats.ts';
import { type Tensor, valuesIn, valuesOf } from '../tensor.ts';
import { bytesIn, type Packed, type Scheme } from './packed.ts';

/**
 * MXFP4 as gpt-oss stores it: `_blocks` (..., groups, 16 bytes with 32 codes) and `_scales` (powers of two with a bias
 * of 127).
 */
export const mxfp4: Scheme = (codes, { tensors }) => {
  if (codes.dtype !== 'U8' || !codes.name.endsWith('_blocks') || codes.shape.length < 3 || codes.shape.at(-1) !== 16)
    return undefined;
  const scales = tensors.get(codes.name.replace(/_blocks$/, '_scales'));
  if (scales?.dtype !== 'U8' || scales.shape.join() !== codes.shape.slice(0, -1).join()) return undefined;
  const cols = codes.shape.at(-2)! * 32;
  return floatCodes({
    name: codes.name.replace(/_blocks$/, ''),
    shape: [...codes.shape.slice(0, -2), cols],
    dtype: 'MXFP4',
    codes,
    scales,
    extras: [],
    scalesOf: powersOfTwo,
  });
};

/**
 * Pairs of 4-bit floats along each row, with a scale for each 16 or 32 of them: `weight_packed` or `weight` with
 * `weight_scale` (powers of two; or 8-bit floats, divided by `weight_global_scale` in compressed-tensors and multiplied
 * by `weight_scale_2` in ModelOpt), or DeepSeek's I8 with `weight_scale_inv`.
 */
export const fp4: Scheme = (codes, { tensors }) => {
  const match = /^(.*)\.(weight|weight_packed)$/.exec(codes.name);
  if (!match || !/^(U8|I8|F4)$/.test(codes.dtype) || codes.shape.length !== 2) return undefined;
  const [, module] = match;
  const part = (name: string) => tensors.get(`${module}.${name}`);
  const scales = part('weight_scale') ?? part('weight_scale_inv');
  const rows = codes.shape[0]!;
  const cols = codes.shape[1]! * (codes.dtype === 'F4' ? 1 : 2);
  const [scaleRows, groups = 0] = scales?.shape ?? [];
  const size = cols / groups;
  if (scales?.shape.length !== 2 || scaleRows !== rows || (size !== 16 && size !== 32)) return undefined;
  const divisor = part('weight_global_scale');
  const factor = part('weight_scale_2');
  const overall = divisor ?? factor;
  if (overall && elementCount(overall.shape) !== 1) return undefined;
  const layout = { name: `${module}.weight`, shape: [rows, cols], codes, scales };
  if (scales.dtype === 'U8' || scales.dtype === 'F8_E8M0')
    return overall ? undefined : floatCodes({ ...layout, dtype: 'MXFP4', extras: [], scalesOf: powersOfTwo });
  if (scales.dtype !== 'F8_E4M3' || !overall) return undefined;
  const input = part('input_scale') ?? part('input_global_scale');
  return floatCodes({
    ...layout,
    dtype: 'NVFP4',
    extras: input ? [overall, input] : [overall],
    async scalesOf(...where) {
      const [values, [whole = 1]] = await Promise.all([valuesIn(...where), valuesOf(overall)]);
      return values.map((value) => (divisor ? value / whole : value * whole));
    },
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
  const { dtype, bits, scalesOf } = mode;
  const shape = [...codes.shape.slice(0, -1), (words * 32) / bits];
  return floatCodes({ name: codes.name, shape, dtype, codes, scales, extras: [], scalesOf, bits });
};

interface FloatCodes {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  /** One code per byte, or two with the low one first. */
  readonly codes: Tensor;
  readonly scales: Tensor;
  /** The other tensors of the layer. */
  readonly extras: readonly Tensor[];
  /** Reads `count` scales from `start` on. */
  scalesOf(scales: Tensor, start: number, count: number, signal?: AbortSignal): Promise<Float32Array>;
  /** The bits of a code; 4 by default. */
  readonly bits?: 4 | 8;
}

function floatCodes({ name, shape, dtype, codes, scales, extras, scalesOf, bits = 4 }: FloatCodes): Packed {
  const cols = shape.at(-1)!;
  const groups = scales.shape.at(-1)!;
  const size = cols / groups;
  return {
    name,
    shape,
    dtype,
    parts: [codes, scales, ...extras],
    async decodeRows(row, out, signal) {
      const count = out.length / cols;
      const [bytes, scale] = await Promise.all([
        bytesIn(codes, (row * cols * bits) / 8, (out.length * bits) / 8, signal),
        scalesOf(scales, row * groups, count * groups, signal),
      ]);
      const values = smallFloatTable(bits === 4 ? E2M1 : E4M3);
      for (let i = 0; i < out.length; i++) {
        const code = bits === 8 ? bytes[i]! : i % 2 === 0 ? bytes[i >> 1]! & 15 : bytes[i >> 1]! >> 4;
        out[i] = values[code]! * scale[Math.floor(i / size)]!;
      }
    },
  };
}

/** Scales that are exponents in one byte each, with a bias of 127. */
async function powersOfTwo(scales: Tensor, start: number, count: number, signal?: AbortSignal): Promise<Float32Array> {
  const exponents = await bytesIn(scales, start, count, signal);
  return Float32Array.from(exponents, (exponent) => (exponent === 255 ? Number.NaN : 2 ** (exponent - 127)));
}

/** Scales that are E4M3 floats, although the file declares them as integers. */
async function e4m3Floats(scales: Tensor, start: number, count: number, signal?: AbortSignal): Promise<Float32Array> {
  const values = smallFloatTable(E4M3);
  return Float32Array.from(await bytesIn(scales, start, count, signal), (code) => values[code]!);
}

/** The float modes of MLX by the 32-bit words of a group. */
const MLX_MODES: ReadonlyMap<number, Pick<FloatCodes, 'dtype' | 'scalesOf'> & { readonly bits: 4 | 8 }> = new Map([
  [2, { dtype: 'NVFP4', bits: 4, scalesOf: e4m3Floats }],
  [4, { dtype: 'MXFP4', bits: 4, scalesOf: powersOfTwo }],
  [8, { dtype: 'MXFP8', bits: 8, scalesOf: powersOfTwo }],
]);
