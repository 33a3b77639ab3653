import type { Tensor } from '../tensor.ts';
import type { Directory } from './packed.ts';

/** A layer in an unsupported layout, whose tensors must not be taken for weights. */
export interface RefusedLayer {
  readonly layout: string;
  readonly parts: readonly Tensor[];
}

/** Layouts by the suffixes of two tensors that occur together only in them. */
const LAYOUTS: readonly (readonly [layout: string, codes: string, beside: string])[] = [
  ['HQQ', '.W_q', '.scale'],
  ['Quanto', '.weight._data', '.weight._scale'],
  ['torchao', '._weight_qdata', '._weight_scale'],
  ['AQLM', '.codes', '.codebooks'],
  ['VPTQ', '.indices', '.centroids.weight'],
  ['QuIP#', '.Qidxs', '.SU'],
  ['EETQ', '.weight', '.weight_scales'],
  ['ExLlamaV2', '.q_weight', '.q_scale'],
  ['ExLlamaV3', '.trellis', '.svh'],
  ['Marlin', '.B', '.s'],
  ['an unknown form of GPTQ or AWQ', '.qweight', '.scales'],
  ['an unknown form of compressed-tensors', '.weight_packed', '.weight_scale'],
  ['an unknown form of MLX', '.weight', '.scales'],
  ['an unknown form of bitsandbytes', '.weight', '.weight.absmax'],
  ['an unknown form of LLM.int8', '.weight', '.SCB'],
  ['codes with scales in an unknown layout', '', '_scale_inv'],
  ['codes with scales in an unknown layout', '', '_scale'],
];

/** Finds the layers in unsupported layouts. `known` are the tensors of the supported ones. */
export function refusedLayers({ tensors }: Directory, known: ReadonlySet<Tensor>): RefusedLayer[] {
  const refused: RefusedLayer[] = [];
  const byModule = new Map<string, Tensor[]>();
  for (const tensor of tensors.values()) {
    if (known.has(tensor)) continue;
    for (const [layout, codes, beside] of LAYOUTS) {
      if (!tensor.name.endsWith(codes)) continue;
      const module = tensor.name.slice(0, tensor.name.length - codes.length);
      const scales = tensors.get(module + beside);
      // Floats of full width are not codes: a dense layer may also have a tensor called a scale beside it.
      if (!scales || known.has(scales) || /^(F64|F32|F16|BF16)$/.test(tensor.dtype)) continue;
      if (byModule.size === 0) fill(byModule, tensors.values());
      const siblings = (byModule.get(module) ?? []).filter(
        (part) => part.name !== `${module}.bias` && !known.has(part),
      );
      refused.push({ layout, parts: [...new Set([tensor, scales, ...siblings])] });
      break;
    }
  }
  return refused;
}

/** Groups tensors by module, and also by parameters that consist of several tensors (`weight._data`). */
function fill(byModule: Map<string, Tensor[]>, tensors: Iterable<Tensor>): void {
  for (const tensor of tensors)
    for (let at = tensor.name.lastIndexOf('.'), depth = 0; at > 0 && depth < 3; depth++) {
      const module = tensor.name.slice(0, at);
      const siblings = byModule.get(module);
      if (siblings) siblings.push(tensor);
      else byModule.set(module, [tensor]);
      at = module.lastIndexOf('.');
    }
}
