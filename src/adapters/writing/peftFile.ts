import { access } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { RankscopeError } from '../../base/errors.ts';
import { Allowance } from '../../bytes/allowance.ts';
import type { JsonObject } from '../../bytes/boundedJson.ts';
import { MAX_CONFIGURATION_MEMORY } from '../../bytes/limits.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { configurationBeside } from '../../checkpoint/configuration.ts';

/**
 * The adapter_config.json beside an adapter; empty if there is none.
 * @throws RankscopeError 'malformed' for one that cannot be read: the scales of all updates would be guessed
 */
export async function peftConfigBeside({ path, files }: Checkpoint, signal?: AbortSignal): Promise<JsonObject> {
  const allowance = new Allowance(path, MAX_CONFIGURATION_MEMORY);
  const folder = dirname(files[0]!.path);
  const found = await configurationBeside(folder, 'adapter_config.json', { allowance, signal });
  if (found) return found;
  const file = join(folder, 'adapter_config.json');
  const isThere = await access(file).then(
    () => true,
    () => false,
  );
  if (!isThere) return {};
  throw new RankscopeError('malformed', file, 'is no JSON object', 'The scale of the adapter is in it: copy it again');
}
