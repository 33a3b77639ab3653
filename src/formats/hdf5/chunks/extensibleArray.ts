import { MAX_HDF5_ARRAY_BITS } from '../../../bytes/limits.ts';
import type { Hdf5File } from '../file/hdf5File.ts';
import { CHECKSUM, type Piece } from '../file/piece.ts';
import { bitAt, type ElementArray, type Run, readClient } from './chunkElements.ts';

const WHAT = 'a growing array of chunks';

interface SuperBlock {
  /** The number of its data blocks, and of the elements in each. */
  readonly blocks: number;
  readonly elements: number;
  /** Its first element, counted after those in the index block, and its first data block. */
  readonly first: number;
  readonly firstBlock: number;
}

/**
 * Opens the index of chunks along one unlimited dimension (specification VII.D). An index block holds the first
 * elements and the addresses of data blocks. Data blocks are grouped into super blocks of growing size, and all but the
 * first few super blocks are stored in blocks of their own.
 */
export async function extensibleArray(file: Hdf5File, address: number): Promise<ElementArray> {
  const { offsetSize, lengthSize } = file;
  const head = await file.sealed(address, 12 + 6 * lengthSize + offsetSize + CHECKSUM, 'EAHD', WHAT);
  const client = readClient(head);
  const [bits, inIndex, least, leastPointers, pageBits] = [head.u8(), head.u8(), head.u8(), head.u8(), head.u8()];
  head.skip(6 * lengthSize);
  const indexAddress = head.address();
  const [leastLog, pointersLog] = [Math.log2(least), Math.log2(leastPointers)];
  if (
    bits > MAX_HDF5_ARRAY_BITS ||
    !Number.isInteger(leastLog) ||
    !Number.isInteger(pointersLog) ||
    leastLog > bits ||
    pageBits > bits
  )
    throw file.malformed(`${WHAT} has blocks of ${least} elements and ${leastPointers} pointers`);
  const supers = superBlocks(1 + bits - leastLog, least);
  const inPage = 2 ** pageBits;
  /**
   * The number of data blocks that the index block points to directly, and the first super block that has a block of
   * its own.
   */
  const direct = 2 * (leastPointers - 1);
  const firstOwn = 2 * pointersLog;
  const offsetBytes = Math.ceil(bits / 8);
  if (firstOwn > supers.length) throw file.malformed(`${WHAT} has fewer blocks than pointers to them`);
  const most = inIndex + supers.reduce((sum, each) => sum + each.blocks * each.elements, 0);
  if (indexAddress === undefined) return async (element) => nothing(0, most, element);

  const own = supers.length - firstOwn;
  const indexSize = 6 + offsetSize + inIndex * client.size + (direct + own) * offsetSize + CHECKSUM;
  const index = await block(indexAddress, indexSize, 'EAIB');
  const inline = index.sub(inIndex * client.size, WHAT);
  const dataBlocks = Array.from({ length: direct }, () => index.address());
  const ownBlocks = Array.from({ length: own }, () => index.address());
  let held: { at: number; piece: Piece } | undefined;

  return async (element) => {
    if (element < inIndex) return { first: 0, count: inIndex, elements: inline, ...client };
    const behind = element - inIndex;
    const level = supers.findIndex(({ first, blocks, elements }) => behind < first + blocks * elements);
    const found = supers[level];
    if (!found) throw file.malformed(`${WHAT} has ${most} elements, but element ${element} is wanted`);
    const { first, elements, blocks, firstBlock } = found;
    const number = Math.floor((behind - first) / elements);
    const begin = inIndex + first + number * elements;
    if (level < firstOwn) {
      const at = dataBlocks[firstBlock + number];
      // The reference library counts the blocks before this super block twice in the offset that it writes.
      const place = first + (firstBlock + number) * elements;
      return at === undefined ? nothing(begin, elements, element) : await data(at, begin, elements, place);
    }
    const at = ownBlocks[level - firstOwn];
    if (at === undefined) return nothing(inIndex + first, blocks * elements, element);
    const pages = elements > inPage ? elements / inPage : 0;
    const written = blocks * Math.ceil(pages / 8);
    const size = 6 + offsetSize + offsetBytes + written + blocks * offsetSize + CHECKSUM;
    if (held?.at !== at) held = { at, piece: await block(at, size, 'EASB') };
    held.piece.at = 6 + offsetSize;
    if (held.piece.number(offsetBytes) !== first) throw misplaced();
    const bitmap = held.piece.take(written);
    held.piece.skip(number * offsetSize);
    const dataAt = held.piece.address();
    if (dataAt === undefined) return nothing(begin, elements, element);
    if (pages === 0) return await data(dataAt, begin, elements, begin - inIndex);
    const page = Math.floor((element - begin) / inPage);
    return await paged(dataAt, begin + page * inPage, page, bitAt(bitmap, number * pages + page));
  };

  function nothing(first: number, count: number, element: number): Run {
    if (element >= first + count) throw file.malformed(`${WHAT} ends before element ${element}`);
    return { first, count, ...client };
  }

  /** A block of this array, after its header. */
  async function block(at: number, size: number, signature: string): Promise<Piece> {
    const piece = await file.sealed(at, size, signature, WHAT);
    if (piece.u8() !== Number(client.filtered) || piece.place() !== address) throw misplaced();
    return piece;
  }

  async function data(at: number, first: number, count: number, place: number): Promise<Run> {
    const size = 6 + offsetSize + offsetBytes + count * client.size + CHECKSUM;
    const piece = await block(at, size, 'EADB');
    if (piece.number(offsetBytes) !== place) throw misplaced();
    return { first, count, elements: piece.sub(count * client.size, WHAT), ...client };
  }

  /** Long data blocks consist of a header and pages, each with a checksum. */
  async function paged(at: number, first: number, page: number, written: boolean): Promise<Run> {
    const run = { first, count: inPage, ...client };
    if (!written) return run;
    const pageSize = inPage * client.size + CHECKSUM;
    const begin = at + 6 + offsetSize + offsetBytes + CHECKSUM + page * pageSize;
    return { ...run, elements: (await file.piece(begin, pageSize, WHAT)).sealed() };
  }

  function misplaced(): Error {
    return file.malformed(`${WHAT} has a block that belongs elsewhere`);
  }
}

function superBlocks(count: number, least: number): SuperBlock[] {
  const supers: SuperBlock[] = [];
  let [first, firstBlock] = [0, 0];
  for (let i = 0; i < count; i++) {
    const blocks = 2 ** Math.floor(i / 2);
    const elements = 2 ** Math.ceil(i / 2) * least;
    supers.push({ blocks, elements, first, firstBlock });
    first += blocks * elements;
    firstBlock += blocks;
  }
  return supers;
}
