import type { TensorDescription } from '../../checkpoint/tensor.ts';
import { type Axis, type Layout, layout } from './layout.ts';
import { isOfExperts } from './names.ts';
import { lastWord, moduleOf, type Neighbourhood } from './neighbourhood.ts';

const KERNEL = 'a kernel as Keras or JAX stores it, not the weight of a PyTorch layer';

/**
 * Keras and Flax call them `kernel`, Haiku `w`; Keras 3 numbers the variables of a layer, kernel first, and names a
 * layer without a name of its own after its class.
 */
const NAMES = /(^|[/.])(recurrent_|pointwise_|depthwise_)?kernel(_\d+)?(:0)?$|\/w$/;
const KERAS_3 = /(^|\/)((\w+_)?dense|conv[123]d)(_transpose)?(_\d+)?\/vars\/0$/;

/**
 * The layout of a kernel, which has its inputs first: (in, out) for Dense, (height, width, in, out) for a convolution,
 * (in, heads, size) for the query, key and value of an attention and (heads, size, out) for its output. Undefined for
 * other tensors.
 */
export function kernelLayout(tensor: TensorDescription, neighbourhood: Neighbourhood): Layout | undefined {
  const { name, shape } = tensor;
  if (shape.length < 2 || !(NAMES.test(name) || KERAS_3.test(name))) return undefined;
  const module = kernelModule(name);
  const outputs = trailingOutputs(tensor, module, neighbourhood);
  const words: Axis[] = shape.map((_, k) => (k < shape.length - outputs ? 'in' : 'out'));
  if (/depthwise_kernel/.test(name) || /depthwise/i.test(lastWord(module))) words[shape.length - 2] = 'out';
  else if (shape.length > 3 && outputs === 1 && isKerasTransposed(tensor, module, neighbourhood)) {
    words[shape.length - 2] = 'out';
    words[shape.length - 1] = 'in';
  } else if (shape.length === 3 && isOfExperts(module)) words[0] = 'expert';
  const isConvolution = shape.length > 2 && outputs === 1 && words[0] === 'in' && !isAttentionOutput(module);
  return layout(words.join(' '), shape, { fixed: KERNEL, isConvolution });
}

/** The number of last axes that are outputs together. */
function trailingOutputs(tensor: TensorDescription, module: string, { biasOf }: Neighbourhood): number {
  const { shape } = tensor;
  if (shape.length === 2) return 1;
  const bias = biasOf(tensor);
  const ends =
    bias && bias.shape.length < shape.length && bias.shape.every((size, k) => size === shape.at(k - bias.shape.length));
  if (ends && bias.shape.length > 1 && !isOfExperts(module)) return bias.shape.length;
  if (shape.length === 3 && isAttentionInput(module) && !(ends && bias.shape.length === 1)) return 2;
  if (shape.length === 4 && /(^|[._])qkv(_proj|_dense)?$/.test(module)) return 3;
  return 1;
}

/** Keras stores a transposed convolution as (height, width, out, in); Flax stores it like any other. */
function isKerasTransposed(tensor: TensorDescription, module: string, { biasOf }: Neighbourhood): boolean {
  const [inner = 0, last = 0] = tensor.shape.slice(-2);
  const bias = biasOf(tensor);
  if (bias?.shape.length === 1 && inner !== last) {
    if (bias.shape[0] === last) return false;
    if (bias.shape[0] === inner) return true;
  }
  return /conv\w*_transpose|deconv/.test(module);
}

const isAttentionInput = (module: string) => /^(query|key|value|q|k|v)(_(proj|dense|einsum))?$/.test(lastWord(module));
const isAttentionOutput = (module: string) =>
  /^(out|o|output|attention_output|post)(_(proj|dense))?$/.test(lastWord(module));

function kernelModule(name: string): string {
  return moduleOf(
    name
      .replace(/(:0)?$/, '')
      .replace(/[/.](\w+_)?kernel(_\d+)?$/, '/kernel')
      .replace(/\/vars\/0$/, '/kernel'),
  );
}
