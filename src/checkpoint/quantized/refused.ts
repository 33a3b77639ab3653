import type { Tensor } from '../tensor.ts';
import { type Directory, isSmallFloat, quantizationOf } from './packed.ts';

/** A layer in an unsupported layout, whose tensors must not be taken for weights. */
export interface RefusedLayer {
  readonly layout: string;
  readonly parts: readonly Tensor[];
}

/** Layouts by the suffixes of two tensors that occur together only in them. */
const LAYOUTS: readonly (readonly [layout: string, codes: string, beside: string])[] = [
  ['SINQ', '.W_q', '.scale2'],
  ['HQQ', '.W_q', '.scale'],
  ['HQQ', '.W_q', '.zero_scale'],
  ['Quanto', '.weight._data', '.weight._scale'],
  ['Quanto', '.weight._data._data', '.weight._scale'],
  ['torchao', '._weight_qdata', '._weight_scale'],
  ['AQLM', '.codes', '.codebooks'],
  ['VPTQ', '.indices', '.centroids.weight'],
  ['QuIP#', '.Qidxs', '.SU'],
  ['SpQR', '.dense_weights', '.row_offsets'],
  ['HIGGS', '.weight', '.tables2'],
  ['FP-Quant', '.qweight', '.forward_hadamard_matrix'],
  ['SVDQuant', '.qweight', '.wscales'],
  ['EETQ', '.weight', '.weight_scales'],
  ['ExLlamaV2', '.q_weight', '.q_scale'],
  ['ExLlamaV3', '.trellis', '.svh'],
  ['QQQ', '.B', '.s_channel'],
  ['Marlin', '.B', '.s'],
  ['tinygemm', '.weight', '.scales_and_zeros'],
  ['the sparse form of compressed-tensors', '.compressed', '.bitmask'],
  ['the Marlin form of compressed-tensors', '.weight_packed', '.scale_packed'],
  ['an unknown form of GPTQ or AWQ', '.qweight', '.scales'],
  ['an unknown form of compressed-tensors', '.weight_packed', '.weight_scale'],
  ['an unknown form of MLX', '.weight', '.scales'],
  ['an unknown form of bitsandbytes', '.weight', '.weight.absmax'],
  ['an unknown form of LLM.int8', '.weight', '.SCB'],
  ['an unknown form of MXFP4', '_blocks', '_scales'],
  ['an unknown form of MXFP4', '.blocks', '.scales'],
];

const UNKNOWN = 'codes with scales in an unknown layout';

/**
 * Finds the layers in unsupported layouts. `known` are the tensors of the supported ones, `declined` the codes whose
 * layout is known not to be decoded.
 */
export function refusedLayers(
  directory: Directory,
  known: ReadonlySet<Tensor>,
  declined: ReadonlyMap<Tensor, string>,
): RefusedLayer[] {
  const { tensors } = directory;
  const refused: RefusedLayer[] = [];
  let modules: Modules | undefined;
  for (const tensor of tensors.values()) {
    // Floats of full width are not codes: a dense layer may also have a tensor called a scale beside it.
    if (known.has(tensor) || /^(F64|F32|F16|BF16|BOOL|C64)$/.test(tensor.dtype)) continue;
    const found = namedLayout(tensor, directory, known);
    if (found || declined.has(tensor)) {
      modules ??= modulesOf(tensors.values());
      const { module, beside } = found ?? { module: moduleOf(tensor.name), beside: [] };
      const siblings = (modules.get(module) ?? []).filter((part) => part.name !== `${module}.bias` && !known.has(part));
      const layout = declined.get(tensor) ?? found!.layout;
      refused.push({ layout, parts: [...new Set([tensor, ...beside, ...siblings])] });
      continue;
    }
    if (tensor.shape.length < 2) continue;
    modules ??= modulesOf(tensors.values());
    const scales = scalesBeside(tensor, modules).filter((scale) => !known.has(scale));
    if (scales.length > 0) refused.push({ layout: unknownLayout(directory), parts: [tensor, ...scales] });
  }
  return refused;
}

function namedLayout(tensor: Tensor, { tensors }: Directory, known: ReadonlySet<Tensor>) {
  for (const [layout, codes, beside] of LAYOUTS) {
    if (!tensor.name.endsWith(codes)) continue;
    const module = tensor.name.slice(0, tensor.name.length - codes.length);
    const scales = tensors.get(module + beside);
    if (scales && !known.has(scales)) return { layout, module, beside: [scales] };
  }
  return undefined;
}

/** Names the method that the configuration gives, since the tensors' names do not tell. */
function unknownLayout(directory: Directory): string {
  const { quant_method: method } = quantizationOf(directory);
  return typeof method === 'string' ? `${UNKNOWN} (quant_method: ${method.slice(0, 40)})` : UNKNOWN;
}

/**
 * Tensors whose names say that they are the scales of these codes. Without this, the codes of a layout that nobody has
 * heard of would be analyzed as if they were the weights.
 */
function scalesBeside(codes: Tensor, modules: Modules): Tensor[] {
  const { name, dtype } = codes;
  const module = moduleOf(name);
  const isWeight = name === `${module}.weight`;
  const siblings = modules.get(module) ?? [];
  return siblings.filter((tensor) => {
    if (tensor === codes) return false;
    const isOwn = tensor.name.startsWith(name) && /^[._]/.test(tensor.name.slice(name.length));
    const rest = tensor.name.slice(isOwn ? name.length + 1 : module.length === 0 ? 0 : module.length + 1);
    if (isOwn) return isScale(rest);
    // Of a `weight`, any scale of the module counts: the neighbours of a bare parameter may have scales of their own.
    return isSmallFloat(dtype) && !rest.includes('.') && (isWeight ? isScale(rest) : /^scales?(_inv)?$/.test(rest));
  });
}

/** Whether a name means scales of weights. Those of inputs, outputs and cached keys leave the weights as they are. */
function isScale(name: string): boolean {
  return (
    /scal|scl|absmax|amax|qmeta|codebook/i.test(name) &&
    !/(^|[._])(in|input|out|output|act|activation|[qkv]|kv|scale_input|qscale_act)([._]|$)/i.test(name)
  );
}

/** The tensors below each module, and below each parameter that consists of several tensors (`weight._data`). */
type Modules = ReadonlyMap<string, readonly Tensor[]>;

function modulesOf(tensors: Iterable<Tensor>): Modules {
  const modules = new Map<string, Tensor[]>();
  for (const tensor of tensors)
    for (let name = tensor.name, depth = 0; name !== '' && depth < 3; depth++) {
      const module = moduleOf(name);
      const siblings = modules.get(module);
      if (siblings) siblings.push(tensor);
      else modules.set(module, [tensor]);
      name = module;
    }
  return modules;
}

/** The path before the last dot; empty for a name without a dot. */
function moduleOf(name: string): string {
  return name.slice(0, Math.max(0, name.lastIndexOf('.')));
}
