import type { TensorDescription } from '../../checkpoint/tensor.ts';
import { type Layout, layout, type StackKind } from './layout.ts';
import {
  attentionDirection,
  direction,
  isAttention,
  isConvolution,
  isFusedGate,
  isOfExperts,
  isRouter,
} from './names.ts';
import { lastWord, moduleOf, type Neighbourhood } from './neighbourhood.ts';

/** No convolution of one dimension in use has a wider kernel, unless it is called one. */
const WIDEST_KERNEL = 16;
const FIXED = 'a slice of a stacked tensor, not a layer of its own';

/**
 * The layout of a 3-D tensor that stacks matrices: the experts or the heads of a layer. Undefined for a convolution.
 * Evidence, in this order: its own bias, a vector for a convolution and a matrix for a stack; its name; the router, the
 * sizes that the configuration names, the other stacks of the block; last, a width that no kernel has.
 */
export function stackedLayout(tensor: TensorDescription, neighbourhood: Neighbourhood): Layout | undefined {
  const kind = stackKind(tensor, neighbourhood);
  if (tensor.slices && tensor.shape.length === 3)
    return layout(`${kind ?? 'slice'} ${tensor.slices}`, tensor.shape, { fixed: FIXED });
  return kind && orientedStack(kind, tensor, neighbourhood);
}

function stackKind(tensor: TensorDescription, { dimensions, biasOf, around }: Neighbourhood): StackKind | undefined {
  const { name, shape } = tensor;
  const [count = 0, first = 0, last = 0] = shape;
  if (shape.length !== 3) return undefined;
  const module = moduleOf(name);
  if (isConvolution(lastWord(module))) return undefined;
  if (isOfExperts(module)) return 'expert';
  const bias = biasOf(tensor);
  if (bias && bias.shape.length === 1) return undefined;
  if (last === 1 || first === 1) return undefined;
  const isHead = isAttention(module) && (dimensions.heads.has(count) || /(^|\.)attn_[kv]_b$/.test(module));
  if (isHead) return 'head';
  const hasBiasEach = bias?.shape.length === 2 && bias.shape[0] === count && [first, last].includes(bias.shape[1]!);
  const neighbours = around(tensor);
  const router = neighbours.some(
    (other) =>
      other.shape.length === 2 &&
      isRouter(moduleOf(other.name)) &&
      ((other.shape[0] === count && [first, last].includes(other.shape[1]!)) ||
        (other.shape[1] === count && [first, last].includes(other.shape[0]!))),
  );
  const isProjection = direction(lastWord(module)) !== undefined;
  if (router || (dimensions.experts.has(count) && (isProjection || last > WIDEST_KERNEL))) return 'expert';
  const crossed = neighbours.some(
    ({ shape: [n, a, b], name: other }) =>
      n === count && (a === last || b === first) && b !== undefined && !isConvolution(moduleOf(other)),
  );
  if (hasBiasEach || (isProjection && (crossed || last > WIDEST_KERNEL)))
    return isAttention(module) ? 'slice' : 'expert';
  if (isConvolution(module)) return undefined;
  const isBare = !/[./](weight|kernel)$/.test(name);
  // A convolution has about as many outputs as inputs; a stack has few slices.
  if (last > WIDEST_KERNEL && (isBare || count <= Math.max(first, last))) return 'slice';
  return undefined;
}

/**
 * Which of the last two axes are the outputs. The bias of each slice has one entry for each output; a layer that reads
 * the residual stream has inputs as wide as that, and one that writes to it has outputs as wide.
 */
function orientedStack(kind: StackKind, tensor: TensorDescription, neighbourhood: Neighbourhood): Layout {
  const { name, shape } = tensor;
  const own = outputsFirst(tensor, neighbourhood);
  const parent = parentOf(name);
  const found =
    own ??
    // All stacks of one module are stored in the same way.
    neighbourhood
      .around(tensor)
      .filter((other) => other.shape.length === 3 && other.shape[0] === shape[0] && parentOf(other.name) === parent)
      .map((other) => outputsFirst(other, neighbourhood))
      .find((isFirst) => isFirst !== undefined);
  const words = found === false ? `${kind} in out` : `${kind} out in`;
  // A module that is called a weight follows nn.Linear, as do all tensors of GGUF.
  const isOpen = found === undefined && shape[1] !== shape[2] && !name.endsWith('.weight');
  return layout(words, shape, {
    // A name with slashes is that of JAX or TensorFlow.
    fixed: kind === 'expert' && !name.includes('/') ? null : FIXED,
    ...(isOpen && { doubt: 'holds a stack of matrices, but nothing says which side is the input: shown as (out, in)' }),
  });
}

function parentOf(name: string): string {
  const module = moduleOf(name);
  return module.slice(0, Math.max(0, module.lastIndexOf('.')));
}

/** True for (out, in), false for (in, out), undefined if that is open. */
function outputsFirst(tensor: TensorDescription, neighbourhood: Neighbourhood): boolean | undefined {
  const [count = 0, first = 0, last = 0] = tensor.shape;
  if (first === last) return undefined;
  const { biasOf, around, dimensions } = neighbourhood;
  const bias = biasOf(tensor);
  if (bias?.shape.length === 2 && bias.shape[0] === count) {
    if (bias.shape[1] === first) return true;
    if (bias.shape[1] === last) return false;
  }
  const word = lastWord(moduleOf(tensor.name));
  const way = direction(word) ?? attentionDirection(word);
  if (!way) return undefined;
  const neighbours = around(tensor);
  const decide = (isWidth: (size: number) => boolean): boolean | undefined => {
    if (isWidth(first) === isWidth(last)) return undefined;
    return (way === 'reads') === isWidth(last);
  };
  for (const other of neighbours) {
    if (other.shape.length !== 2 || !isRouter(moduleOf(other.name)) || !other.shape.includes(count)) continue;
    const width = other.shape[0] === count ? other.shape[1]! : other.shape[0]!;
    const decided = decide((size) => size === width);
    if (decided !== undefined) return decided;
  }
  const byConfiguration =
    decide((size) => dimensions.widths.has(size)) ??
    // The inner size of an expert is the other side; a fused gate has twice as much.
    decide((size) => ![size, size / 2].some((inner) => dimensions.expertWidths.has(inner)));
  if (byConfiguration !== undefined) return byConfiguration;
  const vectors = new Set(
    neighbours.filter(({ name, shape }) => shape.length === 1 && /norm|ln/i.test(name)).map(({ shape }) => shape[0]!),
  );
  const byNorms = vectors.size > 0 ? decide((size) => vectors.has(size)) : undefined;
  return byNorms ?? byFusedGate(tensor, way, neighbours);
}

/** A fused gate has twice as many outputs as the layer after it has inputs. */
function byFusedGate(
  { name, shape: [count, first = 0, last = 0] }: TensorDescription,
  way: 'reads' | 'writes',
  neighbours: readonly TensorDescription[],
): boolean | undefined {
  const isFused = isFusedGate(lastWord(moduleOf(name)));
  if (way === 'reads' && !isFused) return undefined;
  for (const other of neighbours) {
    const [n, a = 0, b = 0] = other.shape;
    const word = lastWord(moduleOf(other.name));
    if (other.shape.length !== 3 || n !== count || parentOf(other.name) !== parentOf(name)) continue;
    if (way === 'reads' && direction(word) === 'writes') {
      if (first === 2 * b && last === a) return true;
      if (last === 2 * a && first === b) return false;
    }
    if (way === 'writes' && isFusedGate(word)) {
      if (a === 2 * last && b === first) return true;
      if (b === 2 * first && a === last) return false;
    }
  }
  return undefined;
}
