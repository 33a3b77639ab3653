import type { TensorDescription } from '../../checkpoint/tensor.ts';
import { type Layout, layout } from './layout.ts';
import type { Neighbourhood } from './neighbourhood.ts';

/** A word for the layers without a number after it: their weights are stacked, as `nn.scan` of Flax does. */
const STACK = /(?:layers?|blocks?|encoder_?block|decoder_?block|scan_?\w*)(?=[./](?!\d))/;

/** The start of a name up to such a word; undefined without one. */
function stackIn(name: string): string | undefined {
  const found = STACK.exec(name);
  return found ? name.slice(0, found.index + found[0].length) : undefined;
}

/** What is a vector in each layer. */
const VECTOR = /(scale|bias|norm|ln_?\d*)([./](scale|weight|bias|w))?$/i;
const MOST_LAYERS = 1024;

/** Tensors that hold all layers along one axis: the first, or the second as in T5X and MaxText. */
export interface LayerStack {
  readonly axis: 0 | 1;
  readonly layers: number;
}

/**
 * The stacks of layers that tensors hold along an axis, by the start of their names; empty for most checkpoints. All
 * tensors of such a stack have the same size there, and its norms and biases have two axes.
 */
export function layerStacks(
  tensors: readonly Pick<TensorDescription, 'name' | 'shape'>[],
): ReadonlyMap<string, LayerStack> {
  const groups = new Map<string, { count: number; sizes: [number, number]; hasVector: boolean; hasMatrix: boolean }>();
  for (const { name, shape } of tensors) {
    const stack = stackIn(name);
    if (stack === undefined) continue;
    const [first = 0, second = 0] = shape;
    const group = groups.get(stack) ?? { count: 0, sizes: [first, second], hasVector: false, hasMatrix: false };
    groups.set(stack, group);
    group.count++;
    if (group.sizes[0] !== first) group.sizes[0] = Number.NaN;
    if (group.sizes[1] !== second) group.sizes[1] = Number.NaN;
    group.hasVector ||= shape.length === 2 && VECTOR.test(name);
    group.hasMatrix ||= shape.length > 2;
  }
  const stacks = new Map<string, LayerStack>();
  for (const [stack, { count, sizes, hasVector, hasMatrix }] of groups) {
    const axis = ([0, 1] as const).find((each) => sizes[each] > 1 && sizes[each] <= MOST_LAYERS);
    if (hasVector && hasMatrix && count > 2 && axis !== undefined) stacks.set(stack, { axis, layers: sizes[axis] });
  }
  return stacks;
}

/** The stack to which a tensor belongs, if there is one. */
export function layerStackOf(name: string, stacks: ReadonlyMap<string, LayerStack>): LayerStack | undefined {
  if (stacks.size === 0) return undefined;
  const stack = stackIn(name);
  return stack === undefined ? undefined : stacks.get(stack);
}

/** The tensor of one layer, without the axis of the layers. */
export function ofOneLayer<Described extends Pick<TensorDescription, 'shape'>>(
  tensor: Described,
  { axis }: LayerStack,
): Described {
  return { ...tensor, shape: tensor.shape.toSpliced(axis, 1) };
}

/** What lies around the tensor of one layer: the others of that layer. */
export function neighbourhoodOfLayer(neighbourhood: Neighbourhood, stack: LayerStack): Neighbourhood {
  const one = (tensor: TensorDescription | undefined) => tensor && ofOneLayer(tensor, stack);
  return {
    dimensions: neighbourhood.dimensions,
    named: (name) => one(neighbourhood.named(name)),
    biasOf: (tensor) => one(neighbourhood.biasOf(tensor)),
    around: (tensor) => neighbourhood.around(tensor).map((each) => ofOneLayer(each, stack)),
  };
}

/** The layout of all layers from that of one; undefined for an ordinary matrix (out, in). */
export function ofAllLayers(one: Layout | undefined, { shape }: TensorDescription, stack: LayerStack): Layout {
  const { axes, ...rest } = one ?? layout('out in', shape.toSpliced(stack.axis, 1));
  const before = stack.axis === 0 ? 0 : axesOf(axes, shape[0]!);
  const inner = axes.slice(before);
  // Inputs on both sides of the layers, as in (heads, layers, size of a head, out), make one matrix for each head.
  const outer = axes
    .slice(0, before)
    .map(([axis, size]) => [inner.some(([other]) => other === axis) ? 'head' : axis, size] as const);
  return {
    ...rest,
    axes: [...outer, ['layer', stack.layers], ...inner],
    fixed: 'a slice of a tensor that stacks all layers',
  };
}

/** How many of the first axes have this many elements together. */
function axesOf(axes: Layout['axes'], elements: number): number {
  let count = 0;
  for (let product = 1; product < elements && count < axes.length; count++) product *= axes[count]![1];
  return count;
}
