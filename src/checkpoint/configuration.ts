import { join } from 'node:path';
import { RankscopeError } from '../base/errors.ts';
import type { Allowance } from '../bytes/allowance.ts';
import { boundedJson, isObject, type JsonObject } from '../bytes/boundedJson.ts';
import { MAX_CONFIGURATION } from '../bytes/limits.ts';
import { openFileSource } from '../bytes/source/fileSource.ts';

/** What pays for a configuration in memory, and what cancels reading it. */
export interface ReadingContext {
  readonly allowance: Allowance;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The JSON object in the file `name` of `folder`. A configuration is optional: undefined if it is missing, broken or
 * larger than its bound or than what is left of the allowance.
 * @throws RankscopeError 'cancelled'
 */
export async function configurationBeside(
  folder: string,
  name: string,
  { allowance, signal }: ReadingContext,
): Promise<JsonObject | undefined> {
  try {
    const source = await openFileSource(join(folder, name));
    try {
      if (source.size > MAX_CONFIGURATION) return undefined;
      const json = boundedJson(source.name, await source.read(0, source.size, signal), allowance);
      return isObject(json) ? json : undefined;
    } finally {
      await source.close();
    }
  } catch (error) {
    if (error instanceof RankscopeError && error.code === 'cancelled') throw error;
    return undefined;
  }
}
