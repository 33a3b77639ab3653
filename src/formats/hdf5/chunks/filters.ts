import { promisify } from 'node:util';
import { inflate } from 'node:zlib';
import { MAX_HDF5_FILTERS } from '../../../bytes/limits.ts';
import type { Hdf5File } from '../file/hdf5File.ts';
import type { Piece } from '../file/piece.ts';
import { unpackLzf } from './lzf.ts';

export interface Filter {
  /** The number registered with the HDF Group. */
  readonly id: number;
  /** The first parameter, which is the size of an element for the shuffle filter. */
  readonly parameter: number | undefined;
}

const DEFLATE = 1;
const SHUFFLE = 2;
const FLETCHER32 = 3;
const LZF = 32_000;
/** The names of known filters that are not supported. */
const OTHERS: Readonly<Record<number, string>> = {
  4: 'szip',
  5: 'n-bit',
  6: 'scale-offset',
  307: 'bzip2',
  32001: 'blosc',
  32004: 'lz4',
  32008: 'bitshuffle',
  32013: 'zfp',
  32015: 'zstd',
  32026: 'blosc2',
};
/** From this number on, a version 2 message includes the filter's name. */
const NAMED = 256;

/** The filters of a dataset's chunks, in the order in which they were applied (specification IV.A.2.l). */
export function readFilters(body: Piece): Filter[] {
  const version = body.u8();
  const count = body.u8();
  if (version > 2 || count > MAX_HDF5_FILTERS)
    throw body.file.malformed(`a dataset has ${count} filters, by a message of the version ${version}`);
  if (version === 1) body.skip(6);
  return Array.from({ length: count }, () => {
    const id = body.u16();
    const nameLength = version === 1 || id >= NAMED ? body.u16() : 0;
    body.skip(2);
    const values = body.u16();
    body.skip(version === 1 ? Math.ceil(nameLength / 8) * 8 : nameLength);
    const parameters = body.sub(4 * values, 'the parameters of a filter');
    if (version === 1 && values % 2 === 1) body.skip(4);
    return { id, parameter: values > 0 ? parameters.u32() : undefined };
  });
}

/**
 * Undoes the filters of a chunk that has `size` bytes without them. A set bit of `mask` means that the filter was not
 * applied.
 * @throws RankscopeError 'malformed', or 'unsupported' for an unknown filter
 */
export async function unfilter(
  file: Hdf5File,
  stored: Uint8Array,
  filters: readonly Filter[],
  mask: number,
  size: number,
): Promise<Uint8Array> {
  let bytes = stored;
  // A checksum adds four bytes.
  const most = size + 4 * filters.length;
  for (const [i, { id, parameter }] of [...filters.entries()].reverse()) {
    if ((mask >>> i) & 1) continue;
    if (id === DEFLATE) bytes = await unzip(file, bytes, most);
    else if (id === SHUFFLE) bytes = unshuffle(bytes, parameter ?? 1);
    else if (id === FLETCHER32) bytes = checked(file, bytes);
    else if (id === LZF) bytes = unpackLzf(file, bytes, most);
    else
      throw file.unsupported(
        `a dataset is compressed by ${OTHERS[id] ?? `the filter ${id}`}; known are gzip, lzf, shuffle and fletcher32`,
      );
  }
  if (bytes.length !== size) throw file.malformed(`a chunk holds ${bytes.length} bytes where ${size} are expected`);
  return bytes;
}

const inflated = promisify<Uint8Array, { maxOutputLength: number }, Buffer>(inflate);

async function unzip(file: Hdf5File, bytes: Uint8Array, most: number): Promise<Uint8Array> {
  try {
    return await inflated(bytes, { maxOutputLength: most });
  } catch (error) {
    throw file.malformed(`a compressed chunk cannot be unpacked (${(error as Error).message})`);
  }
}

function checked(file: Hdf5File, bytes: Uint8Array): Uint8Array {
  const end = bytes.length - 4;
  if (end < 0) throw file.malformed('a chunk is shorter than its checksum');
  const values = bytes.subarray(0, end);
  const stored = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(end, true);
  if (fletcher32(values) !== stored) throw file.malformed('a chunk does not match its checksum');
  return values;
}

/** Undoes the filter that stores the first bytes of all elements, then all second bytes, and so on. */
function unshuffle(bytes: Uint8Array, size: number): Uint8Array {
  if (size <= 1) return bytes;
  const count = Math.floor(bytes.length / size);
  const out = new Uint8Array(bytes.length);
  for (let k = 0; k < size; k++) for (let i = 0, at = k * count; i < count; i++) out[i * size + k] = bytes[at + i]!;
  out.set(bytes.subarray(count * size), count * size);
  return out;
}

/** The sums of more words than this could overflow. */
const WORDS = 360;

/**
 * Fletcher's checksum over big-endian words of 16 bits, as HDF5 computes it (H5checksum.c): a single last byte is the
 * high byte of a word.
 */
export function fletcher32(bytes: Uint8Array): number {
  let [first, second] = [0, 0];
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + 2 * WORDS);
    for (; at < end; at += 2) {
      first += (bytes[at]! << 8) | (bytes[at + 1] ?? 0);
      second += first;
    }
    first = folded(first);
    second = folded(second);
  }
  return ((folded(second) << 16) | folded(first)) >>> 0;
}

function folded(sum: number): number {
  return (sum & 0xffff) + (sum >>> 16);
}
