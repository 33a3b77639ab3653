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

/**
 * The number of layers that a tensor stacks along its first axis, by the start of its name; empty for most checkpoints.
 * All tensors of such a stack have the same first size, and its norms and biases have two axes.
 */
export function layerStacks(
  tensors: readonly Pick<TensorDescription, 'name' | 'shape'>[],
): ReadonlyMap<string, number> {
  const groups = new Map<string, { count: number; size: number; hasVector: boolean; hasMatrix: boolean }>();
  for (const { name, shape } of tensors) {
    const stack = stackIn(name);
    if (stack === undefined) continue;
    const [first = 0] = shape;
    const group = groups.get(stack) ?? { count: 0, size: first, hasVector: false, hasMatrix: false };
    groups.set(stack, group);
    group.count++;
    if (group.size !== first) group.size = Number.NaN;
    group.hasVector ||= shape.length === 2 && VECTOR.test(name);
    group.hasMatrix ||= shape.length > 2;
  }
  return new Map(
    [...groups]
      .filter(([, { size, count, hasVector, hasMatrix }]) => {
        return hasVector && hasMatrix && count > 2 && size > 1 && size <= MOST_LAYERS;
      })
      .map(([stack, { size }]) => [stack, size]),
  );
}

/** Whether a tensor belongs to one of the stacks. */
export function isInStack(name: string, stacks: ReadonlyMap<string, number>): boolean {
  if (stacks.size === 0) return false;
  const stack = stackIn(name);
  return stack !== undefined && stacks.has(stack);
}

/** The tensor of one layer, without the axis of the layers. */
export function ofOneLayer<Described extends Pick<TensorDescription, 'shape'>>(tensor: Described): Described {
  return { ...tensor, shape: tensor.shape.slice(1) };
}

/** What lies around the tensor of one layer: the others of that layer. */
export function neighbourhoodOfLayer(neighbourhood: Neighbourhood): Neighbourhood {
  const one = (tensor: TensorDescription | undefined) => tensor && ofOneLayer(tensor);
  return {
    dimensions: neighbourhood.dimensions,
    named: (name) => one(neighbourhood.named(name)),
    biasOf: (tensor) => one(neighbourhood.biasOf(tensor)),
    around: (tensor) => neighbourhood.around(tensor).map(ofOneLayer),
  };
}

/** The layout of all layers from that of one; undefined for an ordinary matrix (out, in). */
export function ofAllLayers(one: Layout | undefined, { shape }: TensorDescription): Layout {
  const [layers = 1, ...sizes] = shape;
  const { axes, ...rest } = one ?? layout('out in', sizes);
  return { ...rest, axes: [['layer', layers], ...axes], fixed: 'a slice of a tensor that stacks all layers' };
}
