import { RankscopeError } from '../../base/errors.ts';
import { MAX_VOCABULARY, MAX_VOCABULARY_BYTES } from '../../bytes/limits.ts';
import type { ByteSource } from '../../bytes/source/byteSource.ts';
import type { MetadataList } from '../../checkpoint/checkpoint.ts';
import { Cursor } from './cursor.ts';
import { type GgufHeader, STRING } from './header.ts';

/** Reads the items of the list `key` in a header that was parsed before, and so lies inside the file. */
export async function readList(
  source: ByteSource,
  { lists, version }: GgufHeader,
  key: string,
  signal?: AbortSignal,
): Promise<MetadataList | undefined> {
  const list = lists.get(key);
  if (!list) return undefined;
  const { type, count, offset, bytes } = list;
  if (count > MAX_VOCABULARY || bytes > MAX_VOCABULARY_BYTES)
    throw new RankscopeError(
      'too-large',
      source.name,
      `${JSON.stringify(key)} has ${count} items in ${bytes} bytes; ` +
        `at most ${MAX_VOCABULARY} in ${MAX_VOCABULARY_BYTES} bytes are read`,
    );
  const cursor = new Cursor(await source.read(offset, bytes, signal), version > 1);
  if (type === STRING) return Array.from({ length: count }, () => cursor.text(cursor.count()));
  return Float64Array.from({ length: count }, () => cursor.number(type));
}
