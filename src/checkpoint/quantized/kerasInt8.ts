import { type Tensor, valuesIn } from '../tensor.ts';
import type { Packed, Scheme } from './packed.ts';

/**
 * Keras quantized to `int8`: the variable 0 of a layer is its integers, the last one the reciprocal of the scales, one
 * for each output of a kernel (in, out) or each row of an embedding: w = q / scale.
 */
export const kerasInt8: Scheme = (codes, { format, tensors }) => {
  if (!/^(hdf5|keras)$/.test(format) || codes.dtype !== 'I8' || codes.shape.length !== 2) return undefined;
  const layer = /^(.*\/vars\/)0$/.exec(codes.name)?.[1];
  if (layer === undefined || codes.shape.includes(0)) return undefined;
  const variables: Tensor[] = [];
  for (let next = tensors.get(`${layer}1`); next && variables.length < 8; )
    next = tensors.get(`${layer}${variables.push(next) + 1}`);
  const [rows, cols] = codes.shape as [number, number];
  const scales = variables.at(-1);
  // A layer in four bits has more variables, a bias has no scale after it, and an activation quantizer has scalars.
  const isVector = (tensor: Tensor, size: number) => tensor.dtype === 'F32' && tensor.shape.join() === String(size);
  const isKernel = variables.length <= 2 && variables.every((variable) => isVector(variable, cols));
  const isTable = variables.length === 1 && rows !== cols && isVector(variables[0]!, rows);
  if (!scales || !(isKernel || isTable)) return undefined;
  return {
    name: codes.name,
    shape: codes.shape,
    dtype: 'I8 scaled',
    parts: [codes, scales],
    async decodeRows(row, out, signal) {
      const scale = await (isKernel
        ? valuesIn(scales, 0, cols, signal)
        : valuesIn(scales, row, out.length / cols, signal));
      await codes.read(row * cols, out, signal);
      for (let i = 0; i < out.length; i++) out[i]! /= scale[isKernel ? i % cols : Math.floor(i / cols)]!;
    },
  } satisfies Packed;
};
