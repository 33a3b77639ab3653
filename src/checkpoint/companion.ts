import { join } from 'node:path';
import { RankscopeError } from '../base/errors.ts';
import { MAX_CONFIGURATION } from '../bytes/limits.ts';
import { openFileSource } from '../bytes/source/fileSource.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

/** The JSON object in the file `name` of `folder`; undefined where there is none that can be read. */
export async function companionJson(
  folder: string,
  name: string,
  signal?: AbortSignal,
): Promise<JsonObject | undefined> {
  try {
    const source = await openFileSource(join(folder, name));
    try {
      if (source.size > MAX_CONFIGURATION) return undefined;
      const json: unknown = JSON.parse(Buffer.from(await source.read(0, source.size, signal)).toString('utf8'));
      return isObject(json) ? json : undefined;
    } finally {
      await source.close();
    }
  } catch (error) {
    if (error instanceof RankscopeError && error.code === 'cancelled') throw error;
    return undefined;
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
