import { RankscopeError } from '../../base/errors.ts';
import type { Allowance } from '../allowance.ts';
import { MAX_DEFLATE_RATIO, MAX_ZIP_DIRECTORY, MAX_ZIP_ENTRIES, MAX_ZIP_GAP } from '../limits.ts';
import type { ByteSource } from '../source/byteSource.ts';
import { findDirectory } from './endRecord.ts';

/** One file in a zip archive, as the central directory describes it. */
export interface ZipEntry {
  readonly name: string;
  /** Length of the stored name in bytes. */
  readonly nameBytes: number;
  readonly method: 'stored' | 'deflated' | 'other';
  readonly compressedSize: number;
  readonly size: number;
  /** Offset of its local header. */
  readonly headerOffset: number;
  /** Offset of the next entry or of the directory, before which its data must end. */
  readonly limit: number;
}

/**
 * Reads the central directory of a zip archive (APPNOTE 6.3.10, with zip64). Stricter than most readers, so that no two
 * of them can see different content in one file: one directory, entries that begin at the first byte, do not overlap
 * and hide nothing between them.
 * @throws RankscopeError 'malformed', 'too-large', 'unsupported' (encrypted).
 */
export async function readZipDirectory(
  source: ByteSource,
  signal: AbortSignal | undefined,
  allowance: Allowance,
): Promise<ReadonlyMap<string, ZipEntry>> {
  const malformed = (found: string) =>
    new RankscopeError(
      'malformed',
      source.name,
      found,
      'The archive is damaged or misleading on purpose: get it again from its author',
    );
  const place = await findDirectory(source, malformed, signal);
  if (place.count > MAX_ZIP_ENTRIES || place.size > MAX_ZIP_DIRECTORY)
    throw new RankscopeError(
      'too-large',
      source.name,
      `an archive of ${place.count} entries; at most ${MAX_ZIP_ENTRIES}`,
    );
  // Entries are held twice while they are sorted, and their names are also in the directory's bytes.
  allowance.spend(300 * place.count + 3 * place.size);
  const bytes = await source.read(place.offset, place.size, signal);
  const entries = parseEntries(bytes, place.count, malformed);
  for (const entry of entries) {
    checkName(entry.name, malformed);
    if (entry.encrypted) throw new RankscopeError('unsupported', source.name, `its entry ${entry.name} is encrypted`);
    if (entry.method === 'deflated' && entry.size > entry.compressedSize * MAX_DEFLATE_RATIO + 64)
      throw malformed(`its entry ${entry.name} claims to hold ${entry.size} bytes in ${entry.compressedSize}`);
    if (entry.method === 'stored' && entry.size !== entry.compressedSize)
      throw malformed(`its entry ${entry.name} is stored, but its two sizes differ`);
  }
  return layOut(entries, place.offset, malformed);
}

type Fail = (found: string) => RankscopeError;
type Parsed = Omit<ZipEntry, 'limit'> & { readonly encrypted: boolean };

function parseEntries(bytes: Uint8Array, count: number, malformed: Fail): Parsed[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: Parsed[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (at + 46 > bytes.length || view.getUint32(at, true) !== 0x02014b50)
      throw malformed(`its directory is broken after ${entries.length} entries`);
    const flags = view.getUint16(at + 8, true);
    const method = view.getUint16(at + 10, true);
    const nameBytes = view.getUint16(at + 28, true);
    const extraAt = at + 46 + nameBytes;
    const extraEnd = extraAt + view.getUint16(at + 30, true);
    const next = extraEnd + view.getUint16(at + 32, true);
    if (next > bytes.length) throw malformed(`its directory ends inside entry ${entries.length}`);
    const [size, compressedSize, headerOffset] = withZip64(
      view,
      [view.getUint32(at + 24, true), view.getUint32(at + 20, true), view.getUint32(at + 42, true)],
      extraAt,
      extraEnd,
      malformed,
    );
    entries.push({
      name: text.toString('utf8', at + 46, extraAt),
      nameBytes,
      method: method === 0 ? 'stored' : method === 8 ? 'deflated' : 'other',
      encrypted: (flags & 1) !== 0,
      size,
      compressedSize,
      headerOffset,
    });
    at = next;
  }
  if (entries.length !== count) throw malformed(`its directory has ${entries.length} entries, but announces ${count}`);
  return entries;
}

/** A size of 2^32 - 1 is replaced by the next one in the zip64 extra field. */
function withZip64(
  view: DataView,
  values: readonly [size: number, compressedSize: number, offset: number],
  extraAt: number,
  extraEnd: number,
  malformed: Fail,
): [number, number, number] {
  let wanted = values.filter((value) => value === 0xffffffff).length;
  if (wanted === 0) return [...values];
  for (let at = extraAt; at + 4 <= extraEnd; ) {
    const end = at + 4 + view.getUint16(at + 2, true);
    if (end > extraEnd) break;
    if (view.getUint16(at, true) === 1 && end - at - 4 >= wanted * 8) {
      let field = at + 4;
      const next = () => {
        const value = Number(view.getBigUint64(field, true));
        field += 8;
        wanted--;
        if (!Number.isSafeInteger(value)) throw malformed('one of its sizes is beyond 2^53');
        return value;
      };
      const [size, compressedSize, offset] = values.map((value) => (value === 0xffffffff ? next() : value));
      return [size!, compressedSize!, offset!];
    }
    at = end;
  }
  throw malformed('an entry lacks its zip64 sizes');
}

function checkName(name: string, malformed: Fail): void {
  const odd =
    name === '' || name.startsWith('/') || /\\|\0|^[a-z]:/i.test(name) || name.split('/').some((part) => part === '..');
  if (odd) throw malformed(`its entry ${JSON.stringify(name.slice(0, 200))} has a name that leads out of the archive`);
}

function layOut(entries: readonly Parsed[], directory: number, malformed: Fail): ReadonlyMap<string, ZipEntry> {
  const sorted = [...entries].sort((a, b) => a.headerOffset - b.headerOffset);
  if (sorted[0] && sorted[0].headerOffset !== 0)
    throw malformed(`${sorted[0].headerOffset} bytes precede its first entry`);
  const byName = new Map<string, ZipEntry>();
  for (const [i, entry] of sorted.entries()) {
    const limit = sorted[i + 1]?.headerOffset ?? directory;
    const end = entry.headerOffset + 30 + entry.nameBytes + entry.compressedSize;
    if (end > limit) throw malformed(`its entry ${entry.name} overlaps what follows`);
    if (limit - end > MAX_ZIP_GAP)
      throw malformed(`${limit - end} bytes after its entry ${entry.name} belong to no entry`);
    if (byName.has(entry.name)) throw malformed(`it has two entries ${entry.name}`);
    const { name, nameBytes, method, compressedSize, size, headerOffset } = entry;
    byName.set(name, { name, nameBytes, method, compressedSize, size, headerOffset, limit });
  }
  return byName;
}
