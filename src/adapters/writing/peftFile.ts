import { dirname } from 'node:path';
import { Allowance } from '../../bytes/allowance.ts';
import type { JsonObject } from '../../bytes/boundedJson.ts';
import { MAX_CONFIGURATION_MEMORY } from '../../bytes/limits.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { configurationBeside } from '../../checkpoint/configuration.ts';

/** The adapter_config.json beside an adapter; empty if there is none. */
export async function peftConfigBeside({ path, files }: Checkpoint, signal?: AbortSignal): Promise<JsonObject> {
  const allowance = new Allowance(path, MAX_CONFIGURATION_MEMORY);
  const found = await configurationBeside(dirname(files[0]!.path), 'adapter_config.json', { allowance, signal });
  return found ?? {};
}
