import { isObject, type JsonObject } from '../../bytes/boundedJson.ts';
import { type AdapterConfiguration, SILENT } from './adapterConfiguration.ts';

/**
 * mlx-lm's adapter_config.json: the scale stands in `lora_parameters` and multiplies A B as it is. mlx-vlm calls it
 * `alpha`, which it does not divide by the rank either.
 */
export function mlxConfiguration(json: JsonObject, source: string, vision: boolean): AdapterConfiguration[] {
  const scale = vision ? json.alpha : parameters(json).scale;
  return typeof scale === 'number' ? [{ ...SILENT, source, scale, settings: json }] : [];
}

export function mlxRemarks(json: JsonObject, source: string): string[] {
  const { alpha, rank, scale } = parameters(json);
  if (typeof alpha !== 'number' || typeof scale !== 'number' || alpha === rank) return [];
  return [
    `${source} states an alpha of ${alpha}, which mlx-lm ignores today; its first versions multiplied the scale by alpha / rank`,
  ];
}

/** Early versions had the parameters of the adapter at the top. */
function parameters(json: JsonObject): JsonObject {
  return isObject(json.lora_parameters) ? json.lora_parameters : json;
}
