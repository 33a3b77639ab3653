import { basename } from 'node:path';
import { RankscopeError } from '../base/errors.ts';
import { HEAD_BYTES } from '../bytes/limits.ts';
import type { ByteSource } from '../bytes/source/byteSource.ts';
import { isZip, openZip } from '../bytes/zip/archive.ts';
import type { Format, OpenContext } from '../formats/format.ts';
import { refuseFolders, refuseOthers } from './refusals.ts';
import { refuseGgml } from './refuseGgml.ts';

export interface Detection {
  readonly format: Format;
  readonly remarks: readonly string[];
}

/**
 * Detects the format of a file: from its content if possible, otherwise from its name.
 * @throws RankscopeError 'not-a-checkpoint' that says what the file is instead, if that is known.
 */
export async function detect(
  source: ByteSource,
  formats: readonly Format[],
  { signal, allowance }: Pick<OpenContext, 'signal' | 'allowance'>,
): Promise<Detection> {
  refuseFolders(source.name, [basename(source.name)]);
  const head = await source.read(0, Math.min(HEAD_BYTES, source.size), signal);
  const named = formats.find((format) => extensionOf(source.name, format) !== undefined);
  // The format of the name is tried first: where two recognize a file, the name decides.
  const candidates = [...(named ? [named] : []), ...formats];
  const entries = isZip(head) ? [...(await openZip(source, signal, allowance)).entries.keys()] : undefined;
  const format = entries
    ? candidates.find((each) => each.recognizesArchive?.(entries))
    : candidates.find((each) => each.recognizes(head, source.size));
  if (format) return { format, remarks: remarksOn(source.name, format, named) };
  if (entries)
    throw new RankscopeError(
      'not-a-checkpoint',
      source.name,
      `this zip archive of ${entries.length} entries (${entries.slice(0, 3).join(', ')} ...) holds no known kind of checkpoint`,
      'Unpack it and open its contents',
    );
  refuseGgml(source, head);
  refuseOthers(source, head, named);
  if (named) return { format: named, remarks: [] };
  const start = [...head.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  throw new RankscopeError(
    'not-a-checkpoint',
    source.name,
    `no known format begins with the bytes ${start}`,
    `Supported formats: ${formats.map((each) => each.name).join(', ')}`,
  );
}

function remarksOn(name: string, format: Format, named: Format | undefined): string[] {
  if (!named || extensionOf(name, format) !== undefined) return [];
  return [`Its name ends in ${extensionOf(name, named)}, but its content is ${format.name}; it was opened as such.`];
}

function extensionOf(name: string, format: Format): string | undefined {
  const lower = name.toLowerCase();
  return format.extensions.find((extension) => lower.endsWith(extension));
}
