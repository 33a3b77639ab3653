import { isObject } from '../../bytes/boundedJson.ts';
import { valuesIn } from '../tensor.ts';
import { bytesIn, type Directory, type Packed, quantizationOf, type Scheme, unpackBits } from './packed.ts';

/**
 * MLX: 32-bit words of codes along each row, and a scale and a bias for each group of a row: w = scale * q + bias. The
 * quantizer `metal` of transformers calls the biases `qbiases`.
 */
export const mlx: Scheme = (codes, directory) => {
  if (codes.dtype !== 'U32' || !codes.name.endsWith('.weight') || codes.shape.length < 2) return undefined;
  const module = codes.name.slice(0, -'.weight'.length);
  const scales = directory.tensors.get(`${module}.scales`);
  const biases = directory.tensors.get(`${module}.biases`) ?? directory.tensors.get(`${module}.qbiases`);
  const words = codes.shape.at(-1)!;
  const groups = scales?.shape.at(-1);
  const rows = codes.shape.slice(0, -1).join();
  if (!scales || !biases || !groups || scales.shape.slice(0, -1).join() !== rows) return undefined;
  if (biases.shape.join() !== scales.shape.join()) return undefined;
  const bits = bitsOf(module, (words * 32) / groups, directory);
  const cols = bits === undefined ? Number.NaN : (words * 32) / bits;
  if (bits === undefined || !Number.isInteger(cols / groups)) return undefined;
  const groupSize = cols / groups;
  return {
    name: codes.name,
    shape: [...codes.shape.slice(0, -1), cols],
    dtype: `MLX${bits}`,
    parts: [codes, scales, biases],
    steps: scales,
    transposed: false,
    async decodeRows(row, out, signal) {
      const count = out.length / cols;
      const [bytes, scale, bias] = await Promise.all([
        bytesIn(codes, row * words * 4, count * words * 4, signal),
        valuesIn(scales, row * groups, count * groups, signal),
        valuesIn(biases, row * groups, count * groups, signal),
      ]);
      const q = new Uint8Array(out.length);
      unpackBits(bytes, bits, q);
      for (let i = 0, group = 0; group < scale.length; group++)
        for (const end = i + groupSize; i < end; i++) out[i] = scale[group]! * q[i]! + bias[group]!;
    },
  } satisfies Packed;
};

/**
 * The bits of a code, of which a group has `groupBits`: those of the module or of the whole model in the configuration,
 * if they fit the size of its groups; otherwise those that fit it; without a configuration those of groups of 64.
 */
function bitsOf(module: string, groupBits: number, directory: Directory): number | undefined {
  const { quantization } = directory.configuration;
  const general = isObject(quantization) ? quantization : quantizationOf(directory);
  const ofModule = general[module];
  const { bits, group_size: size } = isObject(ofModule) ? ofModule : general;
  const fitting = groupBits / (typeof size === 'number' ? size : 64);
  return [bits, fitting].find(
    (each): each is number =>
      typeof each === 'number' &&
      [2, 3, 4, 5, 6, 8].includes(each) &&
      (typeof size !== 'number' || each * size === groupBits),
  );
}
