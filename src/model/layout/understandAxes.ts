import { elementCount } from '../../base/shape.ts';
import type { TensorDescription } from '../../checkpoint/tensor.ts';
import { convolutionLayout } from './convolutions.ts';
import { stackedLayout } from './experts.ts';
import { kernelLayout } from './kernels.ts';
import { type Layout, layout, type StoredLayout, stackSize, wholeMatrix } from './layout.ts';
import { namedLayout } from './named.ts';
import { isTable } from './names.ts';
import { moduleOf, type Neighbourhood } from './neighbourhood.ts';

/**
 * What the axes of a tensor are. Undefined for the weight of an ordinary layer, (out, in), which needs no thought: most
 * tensors of a checkpoint are.
 * @param tensor one that `notAMatrix` accepts.
 */
export function understandAxes(tensor: TensorDescription, neighbourhood: Neighbourhood): Layout | undefined {
  // Most tensors by far, so that the names of 100,000 of them cost nothing.
  if (tensor.shape.length === 2 && isLayer(tensor.name)) return undefined;
  const found = layoutOf(tensor, neighbourhood);
  return !found || stackSize(found) <= MOST_STACKED ? found : asOne(tensor);
}

/** Far more experts, heads or groups than any layer has; bounds the number of matrices. */
const MOST_STACKED = 4096;

function asOne(tensor: TensorDescription): Layout {
  const [first = 1, ...rest] = tensor.shape;
  return layout('out in', [first, elementCount(rest)], { fixed: 'a tensor with more matrices than a layer has' });
}

function layoutOf(tensor: TensorDescription, neighbourhood: Neighbourhood): Layout | undefined {
  if (tensor.convolution) return convolution(tensor, neighbourhood);
  const known = namedLayout(tensor, neighbourhood) ?? kernelLayout(tensor, neighbourhood);
  if (known) return known;
  const squeezed = isLayer(tensor.name) ? tensor : { ...tensor, shape: sizes(tensor) };
  if (squeezed.shape.length === 2) return undefined;
  if (squeezed.shape.length > 2 && !isLayer(tensor.name) && isTable(moduleOf(tensor.name)))
    return tableLayout(squeezed);
  const stack = stackedLayout(squeezed, neighbourhood);
  if (!stack) return convolution(squeezed, neighbourhood);
  const isWhole = squeezed.shape.length === tensor.shape.length && !tensor.derived;
  return isWhole ? stack : { ...stack, fixed: stack.fixed ?? 'a slice of a tensor with further axes' };
}

/** The matrix of an ordinary layer: (out, in), or (in, out) where the format says so or else `isSwapped`. */
export function plainMatrix(
  tensor: TensorDescription,
  isSwapped = false,
): [matrix: StoredLayout, fixed: string | null] {
  const [rows = 1, cols = 1] = sizes(tensor);
  return [wholeMatrix(rows, cols, tensor.transposed ?? isSwapped), fixedBecause(tensor)];
}

function convolution(tensor: TensorDescription, neighbourhood: Neighbourhood): Layout {
  const found = convolutionLayout(tensor, neighbourhood);
  return { ...found, fixed: fixedBecause(tensor) ?? found.fixed };
}

/**
 * A table of positions in several dimensions: each row is the vector of one position. Of a picture, (channels, height,
 * width), each row is a channel.
 */
function tableLayout(tensor: TensorDescription): Layout {
  const { shape } = tensor;
  const isPicture = shape.length === 3 && shape[1] === shape[2] && shape[0] !== shape[1];
  const rows = isPicture ? shape[0]! : elementCount(shape.slice(0, -1));
  return layout('out in', [rows, elementCount(shape) / rows], { fixed: fixedBecause(tensor) });
}

/**
 * The sizes of a bare parameter without ones: a position table (1, n, d) is n x d, and a scale (1, c, 1, 1) is a
 * vector. The weight of a layer keeps them, since one output channel is one row.
 */
export function sizes({ name, shape }: TensorDescription): readonly number[] {
  return isLayer(name) ? shape : shape.filter((size) => size !== 1);
}

/** The reason why the PyTorch layer of this tensor cannot be replaced by a factored one, as far as its name tells. */
function fixedBecause({ name, derived }: TensorDescription): string | null {
  if (derived) return `a weight under ${derived.by}, which its layer computes from others`;
  if (name.includes('.lora_')) return 'already a factor of an adapter';
  return isLayer(name) ? null : 'a bare parameter, not the weight of a layer';
}

function isLayer(name: string): boolean {
  return name.endsWith('.weight');
}
