import { dirname } from 'node:path';
import type { JsonObject } from '../bytes/boundedJson.ts';
import { MAX_SHOWN_SETTING } from '../bytes/limits.ts';
import type { Checkpoint } from './checkpoint.ts';
import { configurationBeside, type ReadingContext } from './configuration.ts';

/** The keys of a configuration that identify the model. */
const KEYS = {
  'config.json': [
    'model_type',
    'architectures',
    '_class_name',
    'torch_dtype',
    'dtype',
    'num_hidden_layers',
    'hidden_size',
    'vocab_size',
  ],
  'adapter_config.json': ['peft_type', 'base_model_name_or_path', 'r', 'lora_alpha', 'use_rslora', 'use_dora'],
} as const;

/**
 * Adds the model's configuration beside the file to the checkpoint, and to its metadata what it and an adapter's say
 * about the model.
 */
export async function withModelFolder(base: Checkpoint, context: ReadingContext): Promise<Checkpoint> {
  const folder = dirname(base.files[0]!.path);
  const metadata = new Map(base.metadata);
  let configuration: JsonObject | undefined;
  for (const [name, keys] of Object.entries(KEYS)) {
    const json = await configurationBeside(folder, name, context);
    if (name === 'config.json') configuration = json;
    if (json) for (const key of keys) addText(metadata, `${name}: ${key}`, json, key);
  }
  return configuration || metadata.size !== base.metadata.size ? { ...base, metadata, configuration } : base;
}

function addText(metadata: Map<string, string>, name: string, json: JsonObject, key: string): void {
  const value = json[key];
  if (value === undefined || value === null) return;
  metadata.set(name, (typeof value === 'string' ? value : JSON.stringify(value)).slice(0, MAX_SHOWN_SETTING));
}
