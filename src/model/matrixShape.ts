import { elementCount } from '../base/shape.ts';
import type { TensorDescription } from '../checkpoint/tensor.ts';

/** The reason why a tensor is not analyzed as a matrix; undefined if it is. */
export function notAMatrix(tensor: TensorDescription): string | undefined {
  const { dtype } = tensor;
  const shape = sizes(tensor);
  if (/^(BOOL|[IU]\d+)$/.test(dtype)) return `${dtype === 'BOOL' ? 'booleans' : `integers (${dtype})`}, not weights`;
  if (/^C\d+$/.test(dtype)) return `complex numbers (${dtype})`;
  if (shape.includes(0)) return 'empty';
  if (shape.length === 0) return 'a single number';
  if (shape.length === 1) return 'a vector';
  return undefined;
}

/**
 * Whether a 3-D tensor stacks the experts of a layer: each slice is then a matrix, whereas a convolution is a single
 * one.
 */
export function isStack({ name, shape }: TensorDescription): boolean {
  return shape.length === 3 && /experts|_exps\b/.test(name);
}

/**
 * Rows and columns as stored. A convolution (out, in, kernel ...) is (out, in * kernel); one that is stored with its
 * outputs last is (kernel * in, out); a slice of a stack has the last two sizes of the tensor.
 */
export function matrixShape(tensor: TensorDescription): [rows: number, cols: number] {
  if (tensor.transposed) {
    const inputs = tensor.shape.slice(0, -1);
    return [elementCount(inputs), tensor.shape.at(-1)!];
  }
  if (tensor.shape.length === 2) return tensor.shape as [number, number];
  const [first = 1, ...rest] = isStack(tensor) ? tensor.shape.slice(1) : sizes(tensor);
  return [first, elementCount(rest)];
}

/**
 * The sizes of a bare parameter without ones: a position table (1, n, d) is n x d, and a scale (1, c, 1, 1) is a
 * vector. The weight of a layer keeps them, since one output channel is one row.
 */
function sizes(tensor: TensorDescription): readonly number[] {
  const { name, shape } = tensor;
  return isLayer(name) ? shape : shape.filter((size) => size !== 1);
}

function isLayer(name: string): boolean {
  return name.endsWith('.weight');
}

/** The reason why the PyTorch layer of this tensor cannot be replaced by a factored one; null if it can. */
export function fixedBecause(tensor: TensorDescription): string | null {
  if (isStack(tensor)) return 'a slice of a stacked tensor, not a layer of its own';
  if (tensor.name.includes('.lora_')) return 'already a factor of an adapter';
  if (!isLayer(tensor.name)) return 'a bare parameter, not the weight of a layer';
  if (tensor.shape.length > 5) return 'more than 5-D';
  if (tensor.shape.length > 2 && tensor.shape[1] === 1) return 'a depthwise convolution or one of a single channel';
  return null;
}
