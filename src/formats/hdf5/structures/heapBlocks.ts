import { MAX_HDF5_KEPT_BLOCKS } from '../../../bytes/limits.ts';
import type { Hdf5File } from '../file/hdf5File.ts';
import { CHECKSUM, Piece } from '../file/piece.ts';

/**
 * The layout of the blocks of a fractal heap, in rows of `width` blocks. Those in the first two rows have `startSize`
 * bytes, and those in each further row are twice as long as in the row before. Blocks of more than `maxDirect` bytes
 * are indirect: they are tables of the same kind for their part of the heap.
 */
export interface DoublingTable {
  /** The address of the heap's header, which every block repeats. */
  readonly address: number;
  readonly root: number | undefined;
  /** The rows of the root, an indirect block; 0 if the root is the only direct block. */
  readonly rows: number;
  readonly width: number;
  readonly startSize: number;
  readonly maxDirect: number;
  /** Bytes of an offset in the heap. */
  readonly offsetBytes: number;
  /** Whether direct blocks have a checksum. */
  readonly checked: boolean;
}

/** Finds the managed object at an offset in the heap's own address space, which includes the headers of blocks. */
export function blockFinder(file: Hdf5File, table: DoublingTable): (offset: number, length: number) => Promise<Piece> {
  const { width, startSize, maxDirect, offsetBytes } = table;
  const headSize = 5 + file.offsetSize + offsetBytes;
  /** By their offsets in the heap. */
  const directs = new Map<number, Piece>();
  const indirects = new Map<number, Piece>();
  let keptBytes = 0;

  return async (offset, length) => {
    if (table.root === undefined) throw file.malformed('a fractal heap is empty, but something refers to its objects');
    const { address, size, begin } = await find(offset);
    const block = await kept(directs, begin, () => direct(address, size, begin));
    const from = offset - begin;
    if (from < headSize || from + length > size)
      throw file.malformed(`an object of a heap lies at ${from} to ${from + length} of a block of ${size} bytes`);
    return new Piece(file, block.bytes.subarray(from, from + length), 'an object of a heap');
  };

  /** The direct block that contains `offset`. The loop ends because each step leads to a smaller part of the heap. */
  async function find(offset: number): Promise<{ address: number; size: number; begin: number }> {
    let [address, rows, begin] = [table.root!, table.rows, 0];
    if (rows === 0) return { address, size: startSize, begin };
    for (;;) {
      const { row, size, at } = rowOf(offset - begin);
      if (row >= rows) throw file.malformed(`a fractal heap has no block for its byte ${offset}`);
      const column = Math.floor((offset - begin - at) / size);
      const block = await kept(indirects, begin, () => indirect(address, rows, begin));
      block.at = headSize + (row * width + column) * file.offsetSize;
      address = block.place();
      begin += at + column * size;
      if (size <= maxDirect) return { address, size, begin };
      rows = Math.log2(size) - Math.log2(startSize * width) + 1;
      if (rows < 1) throw file.malformed('a fractal heap has an indirect block without rows');
    }
  }

  /**
   * The row of an offset in an indirect block, the size of that row's blocks, and the offset at which the row begins.
   */
  function rowOf(offset: number): { row: number; size: number; at: number } {
    if (offset < width * startSize) return { row: 0, size: startSize, at: 0 };
    let [row, size] = [1, startSize];
    for (; offset >= 2 * width * size; row++) size *= 2;
    return { row, size, at: width * size };
  }

  async function indirect(address: number, rows: number, begin: number): Promise<Piece> {
    const what = 'an indirect block of a heap';
    const block = await file.sealed(address, headSize + rows * width * file.offsetSize + CHECKSUM, 'FHIB', what);
    return placed(block, begin, what);
  }

  async function direct(address: number, size: number, begin: number): Promise<Piece> {
    const what = 'a block of a heap';
    const block = await file.piece(address, size, what);
    block.expect('FHDB', 0);
    placed(block, begin, what);
    // The checksum covers the whole block, with zeros in place of the checksum itself.
    if (table.checked) block.verify(block.bytes, block.u32(), headSize);
    return block;
  }

  function placed(block: Piece, begin: number, what: string): Piece {
    if (block.address() !== table.address || block.number(offsetBytes) !== begin)
      throw file.malformed(`${what} belongs elsewhere`);
    return block;
  }

  async function kept(blocks: Map<number, Piece>, begin: number, read: () => Promise<Piece>): Promise<Piece> {
    const found = blocks.get(begin);
    if (found) return found;
    const block = await read();
    keptBytes += block.bytes.length;
    if (keptBytes > MAX_HDF5_KEPT_BLOCKS) {
      directs.clear();
      indirects.clear();
      keptBytes = block.bytes.length;
    }
    blocks.set(begin, block);
    return block;
  }
}
