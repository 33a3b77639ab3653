import { elementCount } from '../../base/shape.ts';
import { MAX_QUANTIZATION_STATE } from '../../bytes/limits.ts';
import { valuesIn, valuesOf } from '../tensor.ts';
import { bytesIn, jsonIn, type Packed, type Scheme } from './packed.ts';

/**
 * bitsandbytes in 4 bits: `weight` has two codes per byte, the high one first; `weight.absmax` has the largest absolute
 * value of each block of elements, and may itself be quantized in nested blocks; `weight.quant_map` has the value of
 * each code.
 */
export const bitsandbytes4: Scheme = async (codes, { tensors }) => {
  if (codes.dtype !== 'U8' || codes.shape.at(-1) !== 1) return undefined;
  const part = (name: string) => tensors.get(`${codes.name}.${name}`);
  const absmax = part('absmax');
  const map = part('quant_map');
  const nf4 = part('quant_state.bitsandbytes__nf4');
  const state = nf4 ?? part('quant_state.bitsandbytes__fp4');
  if (!absmax || !map || !state || elementCount(map.shape) !== 16 || state.bytes > MAX_QUANTIZATION_STATE)
    return undefined;
  const description = jsonIn(await bytesIn(state, 0, state.bytes));
  const { shape, blocksize: block } = description ?? {};
  if (!isShape(shape) || !isSize(block) || block % 2 !== 0) return undefined;
  const count = elementCount(shape);
  if (codes.bytes !== Math.ceil(count / 2) || elementCount(absmax.shape) !== Math.ceil(count / block)) return undefined;
  const nested = part('nested_absmax');
  const nestedMap = part('nested_quant_map');
  const { nested_blocksize: nestedBlock = 256, nested_offset: offset = 0 } = description ?? {};
  if (
    nested &&
    !(nestedMap && isSize(nestedBlock) && typeof offset === 'number' && elementCount(nestedMap.shape) === 256)
  )
    return undefined;
  const cols = shape.at(-1)!;

  return {
    name: codes.name,
    shape,
    dtype: nf4 ? 'NF4' : 'FP4',
    transposed: false,
    parts: [codes, absmax, map, state, nested, nestedMap].filter((tensor) => tensor !== undefined),
    async decodeRows(row, out, signal) {
      const start = row * cols;
      const end = start + out.length;
      const firstByte = Math.floor(start / 2);
      const firstBlock = Math.floor(start / block);
      const blocks = Math.ceil(end / block) - firstBlock;
      const [bytes, values, scale] = await Promise.all([
        bytesIn(codes, firstByte, Math.ceil(end / 2) - firstByte, signal),
        valuesOf(map, signal),
        valuesIn(absmax, firstBlock, blocks, signal),
      ]);
      if (nested) {
        const [outer, outerValues] = await Promise.all([valuesOf(nested, signal), valuesOf(nestedMap!, signal)]);
        for (let i = 0; i < blocks; i++) {
          const group = Math.floor((firstBlock + i) / (nestedBlock as number));
          scale[i] = outerValues[scale[i]!]! * outer[group]! + (offset as number);
        }
      }
      for (let i = 0; i < out.length; i++) {
        const at = start + i;
        const byte = bytes[(at >> 1) - firstByte]!;
        const q = at % 2 === 0 ? byte >> 4 : byte & 15;
        out[i] = values[q]! * scale[Math.floor(at / block) - firstBlock]!;
      }
    },
  } satisfies Packed;
};

/**
 * bitsandbytes in 8 bits (LLM.int8): `SCB` has the largest absolute value of each row, which the code 127 represents.
 */
export const bitsandbytes8: Scheme = async (codes, { tensors }) => {
  if (codes.dtype !== 'I8' || codes.shape.length !== 2 || !codes.name.endsWith('.weight')) return undefined;
  const module = codes.name.slice(0, -'.weight'.length);
  const largest = tensors.get(`${module}.SCB`);
  const [rows, cols] = codes.shape as [number, number];
  if (!largest || elementCount(largest.shape) !== rows) return undefined;
  const layout = tensors.get(`${module}.weight_format`);
  // Formats other than 0 are the element orders of old GPU kernels.
  if (layout && (elementCount(layout.shape) !== 1 || (await valuesOf(layout))[0] !== 0)) return undefined;
  return {
    name: codes.name,
    shape: codes.shape,
    dtype: 'LLM.int8',
    transposed: false,
    parts: [codes, largest, ...(layout ? [layout] : [])],
    async decodeRows(row, out, signal) {
      const scale = await valuesIn(largest, row, out.length / cols, signal);
      await codes.read(row * cols, out, signal);
      for (let i = 0; i < out.length; i++) out[i]! *= scale[Math.floor(i / cols)]! / 127;
    },
  } satisfies Packed;
};

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function isShape(value: unknown): value is number[] {
  return Array.isArray(value) && value.length > 0 && value.length <= 8 && value.every(isSize);
}
