import type { TensorDescription } from '../../checkpoint/tensor.ts';
import type { Dimensions } from './dimensions.ts';

/** What the shape of a tensor alone does not say: the tensors around it, and the sizes in the configuration. */
export interface Neighbourhood {
  readonly dimensions: Dimensions;
  /** The bias that belongs to a weight: `up.bias`, `up_proj_bias`; undefined if it has none. */
  biasOf(tensor: TensorDescription): TensorDescription | undefined;
  /** The tensors of the same block, at most `MOST`, without the tensor itself. */
  around(tensor: TensorDescription): readonly TensorDescription[];
  /** The tensor with exactly this name. */
  named(name: string): TensorDescription | undefined;
}

/** A block has some dozen tensors; a file of another kind must not make each of them look at all. */
const MOST = 256;

/**
 * The neighbourhood of the tensors of one checkpoint. Indexes are built when a tensor with three axes or more asks for
 * the first time: checkpoints of ordinary matrices need none.
 */
export function neighbourhoodOf(tensors: readonly TensorDescription[], dimensions: Dimensions): Neighbourhood {
  let names: Map<string, TensorDescription> | undefined;
  let blocks: Map<string, TensorDescription[]> | undefined;
  const named = (name: string) => {
    names ??= new Map(tensors.map((tensor) => [tensor.name, tensor]));
    return names.get(name);
  };
  const indexed = () => {
    const index = new Map<string, TensorDescription[]>();
    for (const { name, shape } of tensors) if (shape.length > 2) index.set(blockOf(name), []);
    for (const tensor of tensors) {
      const block = index.get(blockOf(tensor.name));
      if (block && block.length < MOST) block.push(tensor);
    }
    return index;
  };
  return {
    dimensions,
    named,
    biasOf(tensor) {
      for (const name of biasNames(tensor.name)) {
        const bias = named(name);
        if (bias && bias !== tensor) return bias;
      }
      return undefined;
    },
    around(tensor) {
      blocks ??= indexed();
      return (blocks.get(blockOf(tensor.name)) ?? []).filter(({ name }) => name !== tensor.name);
    },
  };
}

/** The start of a name up to the number of its layer; outside of layers, the path without its last two parts. */
function blockOf(name: string): string {
  const inLayer = LAYER.exec(name);
  return inLayer ? inLayer[0] : moduleOf(name).split('.').slice(0, -2).join('.');
}

const LAYER = /^.*?(?:layers?|blocks?|blk|(?:^|[._/])h)[._/]\d+(?=[._/])/;

/** The names that a weight's bias may have. */
function biasNames(name: string): string[] {
  const match = /^(.*?)([./_]?)(weight|kernel|weight_v|w)(:0)?$/.exec(name);
  // A bare parameter: `gate_up_proj` and `gate_up_proj_bias`; TransformerLens has `W_Q` and `b_Q`.
  if (!match?.[1]) return [`${name}_bias`, `${name}.bias`, name.replace(/(^|[./])_?W_(\w+)$/, '$1b_$2')];
  const [, module, joint = '.', , variable = ''] = match;
  const variables = name.replace(/vars\/0$/, 'vars/1');
  return [`${module}${joint}bias${variable}`, `${module}_bias`, ...(joint === '/' ? [`${module}/b`] : []), variables];
}

/** The last parts of a name that say what a tensor is, without the word for the parameter. */
export function moduleOf(name: string): string {
  return name.replace(/[./](weight|kernel|w)(_v)?(:0)?$/, '').replace(/\//g, '.');
}

/** The last word of a module's path. */
export function lastWord(module: string): string {
  return module.slice(module.lastIndexOf('.') + 1);
}
