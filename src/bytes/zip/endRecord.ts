import type { RankscopeError } from '../../base/errors.ts';
import { MAX_ZIP_COMMENT } from '../limits.ts';
import type { ByteSource } from '../source/byteSource.ts';

export interface DirectoryPlace {
  readonly offset: number;
  readonly size: number;
  readonly count: number;
}

const END = 0x06054b50;
const END_BYTES = 22;
const END64 = 0x06064b50;
const END64_BYTES = 56;
const LOCATOR64 = 0x07064b50;
const LOCATOR64_BYTES = 20;

/** Finds the central directory by the record at the archive's end. The directory must reach up to that record. */
export async function findDirectory(
  source: ByteSource,
  malformed: (found: string) => RankscopeError,
  signal?: AbortSignal,
): Promise<DirectoryPlace> {
  const tailSize = Math.min(source.size, END_BYTES + MAX_ZIP_COMMENT + LOCATOR64_BYTES + END64_BYTES);
  const tailAt = source.size - tailSize;
  const tail = await source.read(tailAt, tailSize, signal);
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
  const ends = endRecords(view);
  if (ends.length === 0) throw malformed('this is a zip archive without its directory: it is cut off');
  if (ends.length > 1) throw malformed('it has two central directories');
  const at = ends[0]!;
  if (view.getUint16(at + 4, true) !== 0 && view.getUint16(at + 4, true) !== 0xffff)
    throw malformed('it is one part of a split archive');
  const short = {
    count: view.getUint16(at + 10, true),
    size: view.getUint32(at + 12, true),
    offset: view.getUint32(at + 16, true),
  };
  const locator = at - LOCATOR64_BYTES;
  const has64 = locator >= 0 && view.getUint32(locator, true) === LOCATOR64;
  if (!has64) {
    if (short.offset + short.size !== tailAt + at) throw malformed('its directory is not where its end record states');
    return short;
  }
  const at64 = Number(view.getBigUint64(locator + 8, true)) - tailAt;
  if (at64 + END64_BYTES !== locator || at64 < 0 || view.getUint32(at64, true) !== END64)
    throw malformed('its zip64 record is not where its locator states');
  const place = {
    count: Number(view.getBigUint64(at64 + 32, true)),
    size: Number(view.getBigUint64(at64 + 40, true)),
    offset: Number(view.getBigUint64(at64 + 48, true)),
  };
  if (place.offset + place.size !== tailAt + at64) throw malformed('its directory is not where its end record states');
  // A number in both records must be the same, or two readers would see two different archives.
  const agree = (long: number, low: number, none: number) => low === none || long === low;
  if (
    !agree(place.count, short.count, 0xffff) ||
    !agree(place.size, short.size, 0xffffffff) ||
    !agree(place.offset, short.offset, 0xffffffff)
  )
    throw malformed('its two end records disagree');
  return place;
}

/** Every offset of an end record that extends exactly to the end of the file. */
function endRecords(view: DataView): number[] {
  const found: number[] = [];
  for (let at = view.byteLength - END_BYTES; at >= 0; at--)
    if (view.getUint32(at, true) === END && at + END_BYTES + view.getUint16(at + 20, true) === view.byteLength)
      found.push(at);
  return found;
}
