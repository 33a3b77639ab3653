import type { Allowance } from '../allowance.ts';
import { MAX_ZIP_TEXT } from '../limits.ts';
import type { ByteSource } from '../source/byteSource.ts';
import { readZipDirectory, type ZipEntry } from './directory.ts';
import { entrySource, entryStart } from './entrySource.ts';

/** An opened zip archive. */
export interface ZipArchive {
  readonly source: ByteSource;
  readonly entries: ReadonlyMap<string, ZipEntry>;
  /** The content of an existing entry. */
  open(name: string, signal?: AbortSignal): Promise<ByteSource>;
  /** The first bytes of an entry, without the cost of decompressing it whole. */
  start(name: string, signal?: AbortSignal): Promise<Uint8Array>;
  /** A text entry of at most 64 KB; undefined if it is missing or longer. */
  text(name: string, signal?: AbortSignal): Promise<string | undefined>;
}

export function isZip(head: Uint8Array): boolean {
  const magic = Buffer.from(head.subarray(0, 4)).toString('latin1');
  return magic === 'PK\x03\x04' || magic === 'PK\x05\x06';
}

/** Opened archives, so that format detection and the reader of the format read the directory only once. */
const opened = new WeakMap<ByteSource, ZipArchive>();

/** @throws RankscopeError 'malformed', 'too-large', 'unsupported' */
export async function openZip(
  source: ByteSource,
  signal: AbortSignal | undefined,
  allowance: Allowance,
): Promise<ZipArchive> {
  const known = opened.get(source);
  if (known) return known;
  const archive = archiveOf(source, await readZipDirectory(source, signal, allowance));
  opened.set(source, archive);
  return archive;
}

function archiveOf(source: ByteSource, entries: ReadonlyMap<string, ZipEntry>): ZipArchive {
  const open = (name: string, signal?: AbortSignal) => entrySource(source, entries.get(name)!, signal);
  return {
    source,
    entries,
    open,
    start: (name, signal) => entryStart(source, entries.get(name)!, signal),
    async text(name, signal) {
      const size = entries.get(name)?.size;
      if (size === undefined || size > MAX_ZIP_TEXT) return undefined;
      return Buffer.from(await (await open(name, signal)).read(0, size, signal)).toString('utf8');
    },
  };
}
