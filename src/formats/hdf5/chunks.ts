import { inflateSync } from 'node:zlib';
import { throwIfCancelled } from '../../base/errors.ts';
import { decoderOf, swapByteOrder } from '../decode.ts';
import type { Hdf5File } from './bytes.ts';
import type { Dataset, Filter } from './dataset.ts';
import { leaves } from './groups.ts';

interface Chunk {
  readonly address: number;
  readonly bytes: number;
  /** Bits of the filters that were left out for this chunk. */
  readonly mask: number;
  /** Its first element, a number a dimension. */
  readonly origin: readonly number[];
}

/** One chunk is held decoded; h5py makes them of at most 1 MB. */
const MAX_CHUNK = 256 << 20;
const MAX_CHUNKS = 4_000_000;

/** Where the chunks of a dataset are. */
export async function readChunks(file: Hdf5File, { path, shape, layout, type }: Dataset): Promise<Chunk[]> {
  if (layout.kind !== 'chunked' || layout.tree === undefined) return [];
  const { chunk, tree } = layout;
  const size = chunk.reduce((product, each) => product * each, type.bytes);
  if (chunk.length !== shape.length || !(size > 0 && size <= MAX_CHUNK))
    throw file.malformed(`dataset ${JSON.stringify(path)} has chunks of ${chunk.join(' x ')}`);
  const chunks: Chunk[] = [];
  await leaves(
    file,
    tree,
    1,
    () => 8 + 8 * (shape.length + 1),
    (address, key) => {
      const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
      const origin = shape.map((_, i) => Number(view.getBigUint64(8 + 8 * i, true)));
      const inside = origin.every((at, i) => at < shape[i]! && at % chunk[i]! === 0);
      if (!inside) throw file.malformed(`a chunk of ${JSON.stringify(path)} lies outside of its dataset`);
      chunks.push({ address, bytes: view.getUint32(0, true), mask: view.getUint32(4, true), origin });
      if (chunks.length > MAX_CHUNKS)
        throw file.malformed(`${JSON.stringify(path)} has more than ${MAX_CHUNKS} chunks`);
    },
  );
  return chunks;
}

/** Fills `out` with the elements from `start` on, row-major, from the chunks that hold them; what no chunk holds is zero. */
export async function readChunked(
  file: Hdf5File,
  dataset: Dataset,
  chunks: readonly Chunk[],
  start: number,
  out: Float32Array,
  signal?: AbortSignal,
): Promise<void> {
  const { shape, layout, type, path } = dataset;
  if (layout.kind !== 'chunked') return;
  out.fill(0);
  const steps = shape.map((_, i) => shape.slice(i + 1).reduce((product, size) => product * size, 1));
  const count = layout.chunk.reduce((product, size) => product * size, 1);
  const values = new Float32Array(count);
  const width = layout.chunk.at(-1)!;
  for (const chunk of chunks) {
    throwIfCancelled(signal, path);
    const first = chunk.origin[0]! * steps[0]!;
    if (first >= start + out.length || first + layout.chunk[0]! * steps[0]! <= start) continue;
    const piece = await file.piece(chunk.address, chunk.bytes, `a chunk of ${JSON.stringify(path)}`);
    const bytes = unfilter(file, piece.bytes, dataset.filters, chunk.mask, count * type.bytes);
    if (type.bigEndian) swapByteOrder(bytes, type.bytes);
    decoderOf(type.dtype)(bytes, values);
    // Line by line along the last dimension; chunks may hang over the dataset's edges.
    const inside = Math.min(width, shape.at(-1)! - chunk.origin.at(-1)!);
    for (let line = 0; line < count / width; line++) {
      const at = linePlace(line, chunk.origin, layout.chunk, shape, steps);
      if (at === undefined) continue;
      const from = Math.max(at, start);
      const end = Math.min(at + inside, start + out.length);
      if (from < end) out.set(values.subarray(line * width + from - at, line * width + end - at), from - start);
    }
  }
}

/** The row-major place of the first element of a chunk's line; undefined where the line hangs over an edge. */
function linePlace(
  line: number,
  origin: readonly number[],
  chunk: readonly number[],
  shape: readonly number[],
  steps: readonly number[],
): number | undefined {
  let place = origin.at(-1)!;
  let rest = line;
  for (let i = shape.length - 2; i >= 0; i--) {
    const index = origin[i]! + (rest % chunk[i]!);
    if (index >= shape[i]!) return undefined;
    place += index * steps[i]!;
    rest = Math.floor(rest / chunk[i]!);
  }
  return place;
}

function unfilter(
  file: Hdf5File,
  stored: Uint8Array,
  filters: readonly Filter[],
  mask: number,
  size: number,
): Uint8Array {
  let bytes = stored;
  for (const [i, { id, values }] of [...filters.entries()].reverse()) {
    if ((mask >> i) & 1) continue;
    if (id === 1) bytes = inflate(file, bytes, size + 4);
    else if (id === 2) bytes = unshuffle(bytes, values[0] ?? 1);
    else if (id === 3) bytes = bytes.subarray(0, -4);
    else throw file.unsupported(`a dataset is compressed by the filter ${id}; known are gzip, shuffle and fletcher32`);
  }
  if (bytes.length < size) throw file.malformed(`a chunk holds ${bytes.length} bytes where ${size} are expected`);
  return bytes === stored ? bytes.slice(0, size) : bytes.subarray(0, size);
}

function inflate(file: Hdf5File, bytes: Uint8Array, most: number): Uint8Array {
  try {
    return new Uint8Array(inflateSync(bytes, { maxOutputLength: most }));
  } catch (error) {
    throw file.malformed(`a compressed chunk cannot be unpacked (${(error as Error).message})`);
  }
}

/** Undoes the filter that puts the first bytes of all elements first, then the second ones, and so on. */
function unshuffle(bytes: Uint8Array, size: number): Uint8Array {
  const count = Math.floor(bytes.length / Math.max(size, 1));
  if (size <= 1) return bytes;
  const out = new Uint8Array(bytes.length);
  for (let i = 0; i < count; i++) for (let k = 0; k < size; k++) out[i * size + k] = bytes[k * count + i]!;
  out.set(bytes.subarray(count * size), count * size);
  return out;
}
