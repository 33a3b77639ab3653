import { elementCount } from '../../base/shape.ts';
import { CHUNK_BYTES } from '../../bytes/limits.ts';
import { type Tensor, valuesOf } from '../tensor.ts';
import { bytesIn, type Directory, type Packed, quantizationOf, type Scheme, unpackBits } from './packed.ts';

/**
 * GPTQ and AWQ: `qweight` (32-bit words of codes), and `qzeros` and `scales` per group of inputs: w = scale * (q -
 * zero). Both store the transpose (inputs x outputs). GPTQ packs the codes of adjacent inputs into words, across word
 * boundaries for 3 bits; AWQ packs those of adjacent outputs, in a permuted order. The layouts follow the pack
 * functions of AutoGPTQ and AutoAWQ.
 */
export const gptq: Scheme = (codes, directory) => {
  if (codes.dtype !== 'I32' || !codes.name.endsWith('.qweight') || codes.shape.length !== 2) return undefined;
  const module = codes.name.slice(0, -'.qweight'.length);
  const [zeros, scales, order] = ['qzeros', 'scales', 'g_idx'].map((part) =>
    directory.tensors.get(`${module}.${part}`),
  );
  if (!zeros || !scales || zeros.shape.length !== 2 || scales.shape.length !== 2) return undefined;
  const format = formatOf(directory);
  if (OTHER_FORMATS.test(format)) return { layout: `the form ${format} of GPTQ or AWQ` };
  // ParoQuant rotates pairs of the inputs before the codes apply.
  if (directory.tensors.has(`${module}.theta`)) return { layout: 'ParoQuant' };
  const [groups, outputs] = scales.shape as [number, number];
  const bits = (zeros.shape[1]! * 32) / outputs;
  if (![2, 3, 4, 8].includes(bits) || zeros.shape[0] !== groups) return undefined;
  const isAwq = codes.shape[1] !== outputs;
  const inputs = isAwq ? codes.shape[0]! : (codes.shape[0]! * 32) / bits;
  if (isAwq && (bits !== 4 || codes.shape[1]! * 8 !== outputs)) return undefined;
  if (!Number.isInteger(inputs)) return undefined;
  if (!(groups > 0 && inputs > 0) || (order && elementCount(order.shape) !== inputs)) return undefined;
  const layout = { codes, zeros, scales, order, groups, inputs, outputs, bits };
  return {
    name: `${module}.weight`,
    shape: [outputs, inputs],
    dtype: `${isAwq ? 'AWQ' : 'GPTQ'}${bits}`,
    parts: [codes, zeros, scales, ...(order ? [order] : [])],
    steps: scales,
    transposed: false,
    singlePass: true,
    decodeRows: (row, out, signal) =>
      (isAwq ? decodeAwq : decodeGptq)({ ...layout, zeroShift: isAwq ? 0 : zeroShift(directory) }, row, out, signal),
  } satisfies Packed;
};

interface Layout {
  readonly codes: Tensor;
  readonly zeros: Tensor;
  readonly scales: Tensor;
  readonly order: Tensor | undefined;
  readonly groups: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly bits: number;
  readonly zeroShift: number;
}

/** Forms that have the names of the plain ones, but another order of the codes. */
const OTHER_FORMATS = /^(gptq_p|marlin|bitblas|gemv|gemv_fast|llm-awq|paroquant|qqq|exl3)$/;

/** The form of the codes that the configuration names, in lower case; empty if it names none. */
function formatOf(directory: Directory): string {
  const { checkpoint_format: checkpoint, format, version } = quantizationOf(directory);
  const named = [checkpoint, format, version].find((each) => typeof each === 'string');
  return typeof named === 'string' ? named.toLowerCase() : '';
}

/**
 * The original GPTQ format stores each zero point minus one (modulo the number of codes); `gptq_v2` stores it as it is.
 */
function zeroShift(directory: Directory): number {
  return formatOf(directory) === 'gptq_v2' ? 0 : 1;
}

/** The scale and zero point of each group and output, and the group of each input. */
async function groupsOf(layout: Layout, signal: AbortSignal | undefined) {
  const { zeros, scales, order, groups, inputs, bits, zeroShift } = layout;
  const [scale, packedZeros, given] = await Promise.all([
    valuesOf(scales, signal),
    bytesIn(zeros, 0, zeros.bytes, signal),
    order ? valuesOf(order, signal) : undefined,
  ]);
  const zero = new Uint8Array(elementCount(scales.shape));
  unpackBits(packedZeros, bits, zero);
  if (zeroShift) for (let i = 0; i < zero.length; i++) zero[i] = (zero[i]! + zeroShift) & ((1 << bits) - 1);
  const size = Math.ceil(inputs / groups);
  const groupOf = (input: number) =>
    Math.min(groups - 1, Math.max(0, given ? given[input]! : Math.floor(input / size)));
  return { scale, zero, groupOf };
}

async function decodeGptq(
  layout: Layout,
  row: number,
  out: Float32Array,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { codes, inputs, outputs, bits } = layout;
  const { scale, zero, groupOf } = await groupsOf(layout, signal);
  const mask = (1 << bits) - 1;
  const rows = out.length / inputs;
  // 32 inputs fill whole words for any number of bits.
  const step = 32 * Math.max(1, Math.floor(CHUNK_BYTES / (bits * outputs * 4)));
  for (let at = 0; at < inputs; at += step) {
    const end = Math.min(inputs, at + step);
    const first = (at * bits) / 32;
    const lines = (end * bits) / 32 - first;
    const words = wordsOf(await bytesIn(codes, first * outputs * 4, lines * outputs * 4, signal));
    for (let input = at; input < end; input++) {
      const group = groupOf(input) * outputs;
      const bit = (input - at) * bits;
      const line = (bit >> 5) * outputs + row;
      const shift = bit & 31;
      const isSplit = shift + bits > 32;
      for (let r = 0; r < rows; r++) {
        let q = words[line + r]! >>> shift;
        if (isSplit) q |= words[line + outputs + r]! << (32 - shift);
        out[r * inputs + input] = scale[group + row + r]! * ((q & mask) - zero[group + row + r]!);
      }
    }
  }
}

/** The output, among the eight of a word, of each group of four bits. */
const AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7];
/** The inverse: the position in the word of each output. */
const AWQ_PLACE = AWQ_ORDER.map((_, output) => AWQ_ORDER.indexOf(output));

async function decodeAwq(
  layout: Layout,
  row: number,
  out: Float32Array,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { codes, inputs, outputs } = layout;
  const { scale, zero, groupOf } = await groupsOf(layout, signal);
  const rows = out.length / inputs;
  const wordsPerLine = outputs / 8;
  const step = Math.max(1, Math.floor(CHUNK_BYTES / (wordsPerLine * 4)));
  for (let at = 0; at < inputs; at += step) {
    const count = Math.min(step, inputs - at);
    const words = wordsOf(await bytesIn(codes, at * wordsPerLine * 4, count * wordsPerLine * 4, signal));
    for (let input = at; input < at + count; input++) {
      const group = groupOf(input) * outputs;
      for (let r = 0; r < rows; r++) {
        const output = row + r;
        const place = AWQ_PLACE[output % 8]!;
        const q = (words[(input - at) * wordsPerLine + (output >> 3)]! >>> (place * 4)) & 15;
        const z = zero[group + output - (output % 8) + place]!;
        out[r * inputs + input] = scale[group + output]! * (q - z);
      }
    }
  }
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
}
