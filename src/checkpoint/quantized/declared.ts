import type { Allowance } from '../../bytes/allowance.ts';
import { boundedJson, isObject, type JsonObject } from '../../bytes/boundedJson.ts';
import { MAX_QUANTIZATION_STATE } from '../../bytes/limits.ts';
import type { Tensor } from '../tensor.ts';
import { bytesIn, type Directory, jsonIn, type Scheme } from './packed.ts';

/** Layouts of ComfyUI and torchao that the other schemes decode as their tensors' names suggest. */
const PLAIN =
  /^(float8_e4m3fn|float8_e5m2|int8_tensorwise|int8_blockwise|Float8Tensor|Int8Tensor|IntxUnpackedToInt8Tensor)$/;

/**
 * What the file itself says of the layout of a layer: ComfyUI in a tensor `comfy_quant` of the module or in the
 * metadata, torchao in the metadata. Codes of other layouts have the names and shapes of plain ones (two codes in a
 * byte, weights that were rotated), so that they must be declined before another scheme takes them.
 */
export const declared: Scheme = async (codes, directory) => {
  const torchao = /^(.*)\._weight_qdata$/.exec(codes.name)?.[1];
  if (torchao !== undefined) {
    const type = directory.declared.get(`${torchao}.weight`)?._type;
    return typeof type === 'string' && PLAIN.test(type)
      ? undefined
      : { layout: `torchao (${String(type ?? 'untyped')})` };
  }
  const module = /^(.*)\.weight$/.exec(codes.name)?.[1];
  if (module === undefined) return undefined;
  // Its inputs are multiplied by another vector than those of the original layer, and its weight is divided by it.
  if (directory.tensors.has(`${module}.pre_quant_scale`)) return { layout: 'weights smoothed by pre_quant_scale' };
  if (directory.tensors.has(`${module}.svdquant_lora_a`)) return { layout: 'the residual of SVDQuant (ModelOpt)' };
  const form = await comfyForm(module, directory);
  if (!form) return undefined;
  const { format } = form;
  if (form.convrot === true) return { layout: `${String(format)} with rotated weights (ComfyUI)` };
  return format === 'nvfp4' || format === 'mxfp8' || (typeof format === 'string' && PLAIN.test(format))
    ? undefined
    : { layout: `${String(format)} of ComfyUI` };
};

/** ComfyUI's description of a layer, e.g. `{"format": "nvfp4"}`; undefined if it has none. */
export async function comfyForm(module: string, { tensors, declared }: Directory): Promise<JsonObject | undefined> {
  const marker = tensors.get(`${module}.comfy_quant`);
  if (marker) return (await jsonOf(marker)) ?? {};
  return declared.get(module);
}

async function jsonOf(tensor: Tensor): Promise<JsonObject | undefined> {
  if (tensor.dtype !== 'U8' || tensor.bytes > MAX_QUANTIZATION_STATE) return undefined;
  return jsonIn(await bytesIn(tensor, 0, tensor.bytes));
}

/** The keys of the metadata under which ComfyUI describes layers, and torchao lists the tensors that it describes. */
const [COMFY, TORCHAO] = ['_quantization_metadata', 'tensor_names'];

/** What the metadata of a file says of its layers (ComfyUI) and tensors (torchao), by their names. */
export function declaredIn(
  metadata: ReadonlyMap<string, string>,
  allowance: Allowance,
): ReadonlyMap<string, JsonObject> {
  const entries: [string, JsonObject][] = [];
  const layers = parsed(metadata.get(COMFY), allowance);
  if (isObject(layers) && isObject(layers.layers))
    for (const [name, form] of Object.entries(layers.layers)) if (isObject(form)) entries.push([name, form]);
  const names = parsed(metadata.get(TORCHAO), allowance);
  for (const name of Array.isArray(names) ? names : []) {
    const form = typeof name === 'string' ? parsed(metadata.get(name), allowance) : undefined;
    if (isObject(form)) entries.push([name, form]);
  }
  return new Map(entries);
}

/** The metadata without these declarations, which would say of decoded layers that they are quantized. */
export function withoutDeclarations(
  metadata: ReadonlyMap<string, string>,
  declared: ReadonlyMap<string, JsonObject>,
): ReadonlyMap<string, string> {
  return new Map([...metadata].filter(([key]) => key !== COMFY && key !== TORCHAO && !declared.has(key)));
}

/** The value of a JSON text; undefined if it is missing, broken or too large: the metadata are optional. */
function parsed(text: string | undefined, allowance: Allowance): unknown {
  if (text === undefined) return undefined;
  try {
    return boundedJson('metadata', Buffer.from(text), allowance);
  } catch {
    return undefined;
  }
}
