import type { Allowance } from '../../bytes/allowance.ts';
import { boundedJson, isObject, type JsonObject } from '../../bytes/boundedJson.ts';
import { MAX_CONFIGURATION } from '../../bytes/limits.ts';
import { type AdapterConfiguration, SILENT } from './adapterConfiguration.ts';

type Metadata = ReadonlyMap<string, string>;

/** diffusers' configuration of each part of the pipeline, whose keys are prefixed: `unet.lora_alpha`. */
export function diffusersMetadata(
  metadata: Metadata,
  allowance: Allowance,
): (readonly [prefix: string, json: JsonObject])[] {
  const json = parsed(metadata.get('lora_adapter_metadata'), allowance);
  const parts = new Map<string, Record<string, unknown>>();
  for (const [key, value] of Object.entries(json ?? {})) {
    const dot = key.lastIndexOf('.');
    const prefix = key.slice(0, dot + 1);
    const part: Record<string, unknown> = parts.get(prefix) ?? Object.create(null);
    part[key.slice(dot + 1)] = value;
    parts.set(prefix, part);
  }
  // Longest first, so that `text_encoder_2.` is not taken for `text_encoder`.
  return [...parts].sort(([one], [other]) => other.length - one.length);
}

/** What kohya's trainer writes into the file. */
export function kohyaMetadata(metadata: Metadata, allowance: Allowance): AdapterConfiguration[] {
  const alpha = numberIn(metadata.get('ss_network_alpha'));
  if (alpha === undefined) return [];
  const more = parsed(metadata.get('ss_network_args'), allowance);
  return [
    {
      ...SILENT,
      source: 'ss_network_alpha',
      rank: numberIn(metadata.get('ss_network_dim')),
      alpha,
      convolutionAlpha: numberIn(more?.conv_alpha),
    },
  ];
}

/** llama.cpp's adapters: alpha / r, and 1 where alpha is 0 or missing (llama-adapter.h, `get_scale`). */
export function ggufMetadata(metadata: Metadata): AdapterConfiguration[] {
  const alpha = numberIn(metadata.get('adapter.lora.alpha'));
  return alpha ? [{ ...SILENT, source: 'adapter.lora.alpha', alpha }] : [];
}

export function ggufRemarks(metadata: Metadata): string[] {
  if (!metadata.has('adapter.alora.invocation_tokens')) return [];
  return ['it is an activated LoRA: the update applies to the tokens after its invocation only'];
}

function numberIn(value: unknown): number | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  const number = Number(value);
  return Number.isFinite(number) ? number : undefined;
}

function parsed(text: string | undefined, allowance: Allowance): JsonObject | undefined {
  if (text === undefined || text.length > MAX_CONFIGURATION) return undefined;
  try {
    const json = boundedJson('metadata', Buffer.from(text), allowance);
    return isObject(json) ? json : undefined;
  } catch {
    return undefined;
  }
}
