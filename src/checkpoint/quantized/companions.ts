import type { Tensor } from '../tensor.ts';
import type { Directory } from './packed.ts';

/** The tensors that libraries store beside the codes of a matrix. */
export interface Companions {
  /** The name of the matrix. */
  readonly name: string;
  readonly scales: Tensor | undefined;
  readonly zeros: Tensor | undefined;
  /** Tensors about the inputs or the layout of the layer, which say nothing once its weight is decoded. */
  readonly extras: readonly Tensor[];
}

/** Names of scales after the full name of the codes, and after the name of their module. */
const AFTER_CODES = ['_scale_inv', '_scale'];
const IN_MODULE = [
  'scale_weight', // ComfyUI's first form, marked by a tensor `scaled_fp8`
  'scale', // DeepSeek's own files
  'qscale_weight', // Mistral
  'weights_scaling_factor', // TensorRT-LLM
];

/** What accompanies the inputs of a layer. */
const OF_INPUTS = [
  'input_scale',
  'input_zero_point',
  'input_scale_ub',
  'input_global_scale',
  'scale_input',
  'activation_scale',
  'qscale_act',
  'activation_scaling_factor',
  'comfy_quant',
];

/** The companions of the codes of this name. */
export function companionsOf(name: string, { tensors }: Directory): Companions {
  const find = (...names: string[]) => names.map((name) => tensors.get(name)).find((tensor) => tensor !== undefined);
  const quanto = /^(.*\.weight)\._data$/.exec(name)?.[1];
  if (quanto !== undefined) {
    const module = quanto.slice(0, -'.weight'.length);
    const extras = [find(`${module}.input_scale`), find(`${module}.output_scale`)];
    return { name: quanto, scales: find(`${quanto}._scale`), zeros: undefined, extras: present(extras) };
  }
  const torchao = /^(.*)\._weight_qdata$/.exec(name)?.[1];
  if (torchao !== undefined)
    return {
      name: `${torchao}.weight`,
      scales: find(`${torchao}._weight_scale`),
      zeros: find(`${torchao}._weight_zero_point`),
      extras: [],
    };
  const pickled = /^(.*\.weight)\.qdata$/.exec(name)?.[1];
  if (pickled !== undefined)
    return { name: pickled, scales: find(`${pickled}.scale`), zeros: find(`${pickled}.zero_point`), extras: [] };
  const module = /^(.*)\.weight$/.exec(name)?.[1];
  const scales = [
    ...AFTER_CODES.map((suffix) => name + suffix),
    ...(module === undefined ? [] : IN_MODULE.map((suffix) => `${module}.${suffix}`)),
  ];
  // Stacks of experts are parameters without a module, and so are what belongs to them.
  const extras = OF_INPUTS.map((part) => find(module === undefined ? `${name}_${part}` : `${module}.${part}`));
  return { name, scales: find(...scales), zeros: find(`${name}_zero_point`), extras: present(extras) };
}

function present(tensors: readonly (Tensor | undefined)[]): Tensor[] {
  return tensors.filter((tensor) => tensor !== undefined);
}
