import { elementCount } from '../../base/shape.ts';
import { valuesOf } from '../tensor.ts';
import { bytesIn, type Packed, quantizationOf, type Scheme } from './packed.ts';

/**
 * BitNet as transformers stores it: each byte has a code of 2 bits from each quarter of the rows, the first quarter in
 * the lowest bits, w = (q - 1) / weight_scale; layers of the class `autobitlinear` multiply by the scale instead.
 */
export const ternary: Scheme = (codes, directory) => {
  const { quant_method: method, linear_class: layer, quantization_mode: mode } = quantizationOf(directory);
  if (method !== 'bitnet' || codes.dtype !== 'U8' || codes.shape.length !== 2 || codes.shape.includes(0))
    return undefined;
  const scale = directory.tensors.get(`${codes.name}_scale`);
  if (!codes.name.endsWith('.weight') || !scale || elementCount(scale.shape) !== 1) return undefined;
  if (layer === 'autobitlinear' && mode === 'online') return undefined;
  const [lines, cols] = codes.shape as [number, number];
  return {
    name: codes.name,
    shape: [lines * 4, cols],
    dtype: 'BitNet',
    parts: [codes, scale],
    transposed: false,
    async decodeRows(row, out, signal) {
      const [given = 1] = await valuesOf(scale, signal);
      const step = layer === 'autobitlinear' ? given : 1 / given;
      for (let at = 0, r = row; at < out.length; r++) {
        const bytes = await bytesIn(codes, (r % lines) * cols, cols, signal);
        const shift = 2 * Math.floor(r / lines);
        for (let c = 0; c < cols; c++, at++) out[at] = (((bytes[c]! >> shift) & 3) - 1) * step;
      }
    },
  } satisfies Packed;
};
