import type { Convolution, TensorDescription } from '../../checkpoint/tensor.ts';
import { type Layout, layout } from './layout.ts';
import { isBilinear, isConvolution, isGroupedConvolution, isTransposedConvolution, isUpsampling } from './names.ts';
import { moduleOf, type Neighbourhood } from './neighbourhood.ts';

const TRANSPOSED = 'a transposed convolution, for which there is no low-rank layer';
const GROUPED = 'a grouped convolution, for which there is no low-rank layer';
const BILINEAR = 'a bilinear form, for which there is no low-rank layer';
const SINGLE = 'a depthwise convolution or one of a single channel';
const LARGE = 'more than 5-D';

/**
 * The layout of a PyTorch weight with three axes or more: a convolution (out, in / groups, kernel ...), a transposed
 * one (in, out / groups, kernel ...) or a bilinear form (out, first in, second in). Their shapes do not tell them
 * apart. The bias has as many entries as there are outputs; without one, the channels of the layer before and the norm
 * after it decide, and last the name.
 */
export function convolutionLayout(tensor: TensorDescription, neighbourhood: Neighbourhood): Layout {
  const { name, shape } = tensor;
  const module = moduleOf(name);
  const [first = 1, second = 1, ...kernel] = shape;
  const fixed = shape.length > 5 ? LARGE : null;
  const kernelWords = kernel.map(() => ' in').join('');
  if (shape.length === 3 && isBilinearForm(module, shape)) return layout('out in in', shape, { fixed: BILINEAR });
  if (tensor.convolution) return knownConvolution(shape, tensor.convolution);
  // One channel each: all filters together are the matrix, whichever way the layer runs.
  if (second === 1) return layout(`out in${kernelWords}`, shape, { fixed: SINGLE, isConvolution: true });
  const outputs = outputsOf(tensor, neighbourhood);
  if (outputs !== undefined && outputs.count !== first) {
    const groups = outputs.count / second;
    const fits = Number.isInteger(groups) && groups > 0 && first % groups === 0;
    if (fits) return transposedLayout(shape, groups, outputs.doubt);
  }
  if (outputs?.isTransposed) return transposedLayout(shape, 1, outputs.doubt);
  const groups = groupsOf(tensor, neighbourhood);
  if (groups === undefined)
    return layout(`out in${kernelWords}`, shape, {
      fixed: fixed ?? (isGroupedConvolution(module) && first !== second ? GROUPED : null),
      isConvolution: true,
    });
  return layout(`group out in${kernelWords}`, [groups, first / groups, second, ...kernel], {
    fixed: GROUPED,
    isConvolution: true,
  });
}

/** The format names the operator. */
function knownConvolution(shape: readonly number[], { isTransposed, groups }: Convolution): Layout {
  const [first = 1, second = 1, ...kernel] = shape;
  const isDepthwise = groups > 1 && (isTransposed ? second === 1 : groups === first);
  const words = `out in${kernel.map(() => ' in').join('')}`;
  if (isDepthwise) return layout(words, shape, { fixed: SINGLE, isConvolution: true });
  if (isTransposed) return transposedLayout(shape, first % groups === 0 ? groups : 1, undefined);
  if (groups === 1 || first % groups !== 0) return layout(words, shape, { isConvolution: true });
  return layout(`group ${words}`, [groups, first / groups, second, ...kernel], { fixed: GROUPED, isConvolution: true });
}

function transposedLayout(shape: readonly number[], groups: number, doubt: string | undefined): Layout {
  const [first = 1, second = 1, ...kernel] = shape;
  const more = { fixed: TRANSPOSED, isConvolution: true, ...(doubt && { doubt }) };
  const words = `in out${kernel.map(() => ' in').join('')}`;
  if (groups === 1) return layout(words, shape, more);
  return layout(`group ${words}`, [groups, first / groups, second, ...kernel], more);
}

function isBilinearForm(module: string, [, first = 0, second = 0]: readonly number[]): boolean {
  if (isBilinear(module)) return true;
  // A kernel as wide as the layer has channels, and wider than kernels are.
  return first === second && first > 16 && !isConvolution(module);
}

interface Outputs {
  readonly count: number;
  readonly isTransposed?: boolean;
  readonly doubt?: string;
}

/** The number of outputs of a convolution, as far as its neighbourhood tell. */
function outputsOf(tensor: TensorDescription, neighbourhood: Neighbourhood): Outputs | undefined {
  const { name, shape } = tensor;
  const [first = 1, second = 1] = shape;
  const isNamed = isTransposedConvolution(moduleOf(name));
  const bias = neighbourhood.biasOf(tensor);
  if (bias?.shape.length === 1) {
    const count = bias.shape[0]!;
    // Of two equal sizes only the name says which is which.
    return { count, isTransposed: count === first && first === second && isNamed };
  }
  if (first === second) return isNamed ? { count: second, isTransposed: true } : undefined;
  const enlarges = isNamed || isUpsampling(moduleOf(name));
  // Where the norm comes first, the one with the same number has the channels of the inputs.
  const isSequence = /[./]\d+[./]weight$/.test(name);
  const after = isSequence || enlarges ? channelsAfter(name, neighbourhood) : undefined;
  const before = channelsBefore(name, neighbourhood);
  if (after === first || (before === second && after !== second)) return { count: first };
  if (after === second || before === first) return { count: second, isTransposed: true };
  // Kernels of an even size enlarge evenly; an ordinary convolution after an interpolation has an odd one.
  const isEven = shape.length > 2 && shape.slice(2).every((size) => size % 2 === 0);
  if (!isNamed && !(enlarges && isEven)) return undefined;
  const doubt = 'is taken for a transposed convolution by its name alone: shown as (out) x (in, kernel)';
  return { count: second, isTransposed: true, doubt };
}

/** The number of groups if it is known and above one. */
function groupsOf({ name, shape }: TensorDescription, neighbourhood: Neighbourhood): number | undefined {
  const [outputs = 1, perGroup = 1] = shape;
  const isPossible = (groups: number) => groups > 1 && Number.isInteger(groups) && outputs % groups === 0;
  const module = moduleOf(name);
  if (isGroupedConvolution(module))
    for (const groups of neighbourhood.dimensions.groups)
      if (isPossible(groups) && outputs / groups === perGroup) return groups;
  // A positional convolution is added to its input, so it has as many inputs as outputs.
  if (/pos_conv|positions?\.conv|conv_pos/.test(module) && isPossible(outputs / perGroup)) return outputs / perGroup;
  // The norm with the same number comes before the layer in some networks, and then says that it has no groups.
  if (channelsAfter(name, neighbourhood) === perGroup) return undefined;
  const before = normBefore(name, neighbourhood);
  const groups = before === undefined ? 0 : before / perGroup;
  return isPossible(groups) ? groups : undefined;
}

/** The channels that the norm after a layer has; the next convolution may run the other way. */
function channelsAfter(name: string, neighbourhood: Neighbourhood): number | undefined {
  for (const after of numbered(name, 1, ['bn', 'norm', 'batch_norm', 'batchnorm'])) {
    const [size, ...others] = neighbourhood.named(after)?.shape ?? [];
    if (size !== undefined && others.length === 0) return size;
  }
  return undefined;
}

function channelsBefore(name: string, neighbourhood: Neighbourhood): number | undefined {
  for (const steps of [1, 2, 3])
    for (const before of numbered(name, -steps, [])) {
      const tensor = neighbourhood.named(before);
      if (!tensor) continue;
      if (tensor.shape.length === 1) return tensor.shape[0];
      const bias = neighbourhood.biasOf(tensor);
      return bias?.shape.length === 1 ? bias.shape[0] : undefined;
    }
  return undefined;
}

function normBefore(name: string, neighbourhood: Neighbourhood): number | undefined {
  const names = [...numbered(name, -1, []), ...numbered(name, -2, []), ...normsOfPrevious(name)];
  for (const before of names) {
    const [size, ...others] = neighbourhood.named(before)?.shape ?? [];
    if (size !== undefined) return others.length === 0 ? size : undefined;
  }
  return undefined;
}

/** `conv2` follows `bn1`. */
function normsOfPrevious(name: string): string[] {
  const match = /^(.*[./]|)conv(\d+)([./]weight)$/.exec(name);
  if (!match) return [];
  const [, path, number, end] = match;
  return ['bn', 'norm'].map((word) => `${path}${word}${Number(number) - 1}${end}`);
}

/** The name of the weight so many places further in a Sequential; or of the norm with the same number. */
function numbered(name: string, steps: number, norms: readonly string[]): string[] {
  const match = /^(.*[./]|)([a-z_]*?)(\d+)([./]weight)$/i.exec(name);
  if (!match) return [];
  const [, path, word, number, end] = match;
  if (word === '') return [`${path}${Number(number) + steps}${end}`];
  return norms.map((norm) => `${path}${norm}${number}${end}`);
}
