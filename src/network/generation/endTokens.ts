import { dirname } from 'node:path';
import { Allowance } from '../../bytes/allowance.ts';
import { MAX_CONFIGURATION_MEMORY } from '../../bytes/limits.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { configurationBeside } from '../../checkpoint/configuration.ts';

/** Keys of GGUF's metadata: the ends of a text, of a turn and of a message. */
const GGUF_KEYS = ['eos_token_id', 'eot_token_id', 'eom_token_id'].map((key) => `tokenizer.ggml.${key}`);

/**
 * The tokens that end what a model generates: those of generation_config.json, which transformers asks first, or else
 * of config.json, and those of a GGUF file's metadata. Empty if nothing names any.
 */
export async function endTokens(checkpoint: Checkpoint, signal?: AbortSignal): Promise<ReadonlySet<number>> {
  const folder = dirname(checkpoint.files[0]!.path);
  const allowance = new Allowance(folder, MAX_CONFIGURATION_MEMORY);
  const generation = await configurationBeside(folder, 'generation_config.json', { allowance, signal });
  const named = [generation, checkpoint.configuration]
    .map((configuration) => [configuration?.eos_token_id].flat())
    .find((ids) => ids.some(isId));
  const stored = GGUF_KEYS.map((key) => Number(checkpoint.metadata.get(key) ?? Number.NaN));
  return new Set([...(named ?? []), ...stored].filter(isId));
}

function isId(id: unknown): id is number {
  return Number.isSafeInteger(id) && (id as number) >= 0;
}
