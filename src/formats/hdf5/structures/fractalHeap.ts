import { MAX_HDF5_HEAP_BITS, MAX_HDF5_HUGE_OBJECTS } from '../../../bytes/limits.ts';
import type { Hdf5File } from '../file/hdf5File.ts';
import { CHECKSUM, type Piece } from '../file/piece.ts';
import { bytesOf, records } from './btree2.ts';
import { blockFinder, type DoublingTable } from './heapBlocks.ts';

export interface FractalHeap {
  /** Bytes of an object's ID. */
  readonly idSize: number;
  /** The object whose ID `id` holds. @throws 'malformed' */
  object(id: Piece): Promise<Piece>;
}

const MANAGED = 0;
const HUGE = 1;
const TINY = 2;
/** Record type of the B-tree of huge objects. */
const INDIRECT = 1;
/** From this length of IDs on, the length of a tiny object takes a byte more. */
const LONG_ID = 18;

/** Opens the heap that stores the links or attributes of an object with many of them (specification III.G). */
export async function openHeap(file: Hdf5File, address: number): Promise<FractalHeap> {
  const { offsetSize, lengthSize } = file;
  const what = 'a fractal heap';
  const headSize = 22 + 12 * lengthSize + 3 * offsetSize;
  const head = await file.sealed(address, headSize + CHECKSUM, 'FRHP', what).catch(async (error: unknown) => {
    // The description of filters comes before the checksum and moves it.
    const start = await file.piece(address, 9, what);
    start.expect('FRHP', 0);
    start.skip(2);
    if (start.u16() > 0) throw file.unsupported('a group keeps its links or attributes in a compressed heap');
    throw error;
  });
  const idSize = head.u16();
  head.skip(2);
  const checked = (head.u8() & 2) !== 0;
  const maxManaged = head.u32();
  head.skip(lengthSize);
  const hugeTree = head.address();
  head.skip(lengthSize + offsetSize + 8 * lengthSize);
  const width = head.u16();
  const startSize = head.length();
  const maxDirect = head.length();
  const bits = head.u16();
  head.skip(2);
  const root = head.address();
  const rows = head.u16();
  if (bits > MAX_HDF5_HEAP_BITS || ![width, startSize, maxDirect].every(isPowerOfTwo) || startSize > maxDirect)
    throw file.malformed(`${what} has blocks of ${startSize} to ${maxDirect} bytes in ${width} columns`);
  const offsetBytes = Math.ceil(bits / 8);
  const table: DoublingTable = { address, root, rows, width, startSize, maxDirect, offsetBytes, checked };
  const lengthBytes = Math.min(Math.ceil(Math.log2(maxDirect) / 8), bytesOf(maxManaged));
  const managed = blockFinder(file, table);
  const huge = hugeObjects(file, hugeTree);

  return {
    idSize,
    async object(id) {
      const flags = id.u8();
      const kind = (flags >> 4) & 3;
      if (flags >> 6 !== 0) throw file.unsupported(`${what} has IDs of the version ${flags >> 6}; known is 0`);
      if (kind === MANAGED) return await managed(id.number(offsetBytes), id.number(lengthBytes));
      if (kind === HUGE && offsetSize + lengthSize <= idSize - 1)
        return await file.piece(id.place(), id.length(), 'an object of a heap');
      if (kind === HUGE) return await huge(id.number(Math.min(lengthSize, idSize - 1)));
      if (kind !== TINY) throw file.malformed(`${what} has an ID of an unknown kind`);
      const length = idSize < LONG_ID ? flags & 15 : ((flags & 15) << 8) | id.u8();
      return id.sub(length + 1, 'an object of a heap');
    },
  };
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && Number.isInteger(Math.log2(value));
}

/**
 * Finds objects that are too large for the blocks of a fractal heap, by their number in the B-tree at `tree`, which is
 * read when the first one is needed.
 */
function hugeObjects(file: Hdf5File, tree: number | undefined): (number: number) => Promise<Piece> {
  let places: Map<number, { address: number; length: number }> | undefined;
  return async (number) => {
    places ??= await readPlaces();
    const place = places.get(number);
    if (!place) throw file.malformed(`a heap has no huge object ${number}`);
    return await file.piece(place.address, place.length, 'a huge object of a heap');
  };

  async function readPlaces() {
    const found = new Map<number, { address: number; length: number }>();
    if (tree === undefined) return found;
    await records(file, tree, [INDIRECT], (record) => {
      const [address, length] = [record.place(), record.length()];
      if (found.size >= MAX_HDF5_HUGE_OBJECTS)
        throw file.malformed(`a heap has more than ${MAX_HDF5_HUGE_OBJECTS} huge objects`);
      found.set(record.length(), { address, length });
    });
    return found;
  }
}
