import { MAX_HDF5_PAGE_BITS } from '../../../bytes/limits.ts';
import type { Hdf5File } from '../file/hdf5File.ts';
import { CHECKSUM } from '../file/piece.ts';
import { bitAt, type ElementArray, type Run, readClient } from './chunkElements.ts';

const WHAT = 'an array of chunks';

/**
 * Opens the index of a fixed number of chunks (specification VII.C): one block of elements, divided into pages if there
 * are many.
 */
export async function fixedArray(file: Hdf5File, address: number): Promise<ElementArray> {
  const { offsetSize, lengthSize } = file;
  const head = await file.sealed(address, 8 + lengthSize + offsetSize + CHECKSUM, 'FAHD', WHAT);
  const client = readClient(head);
  const pageBits = head.u8();
  const total = head.length();
  const block = head.address();
  if (pageBits > MAX_HDF5_PAGE_BITS) throw file.malformed(`${WHAT} has pages of 2^${pageBits}`);
  const inPage = 2 ** pageBits;
  const paged = total > inPage;
  const pages = paged ? Math.ceil(total / inPage) : 0;
  const prefix = 6 + offsetSize + Math.ceil(pages / 8);
  const nothing = { first: 0, count: total, ...client };
  if (block === undefined) return async (element) => within(element, nothing);

  const first = await file.sealed(block, prefix + (paged ? 0 : total * client.size) + CHECKSUM, 'FADB', WHAT);
  if (first.u8() !== Number(client.filtered) || first.place() !== address)
    throw file.malformed(`${WHAT} has a block that belongs to another array`);
  if (!paged) {
    const elements = first.sub(total * client.size, WHAT);
    return async (element) => within(element, { ...nothing, elements });
  }
  const written = first.take(Math.ceil(pages / 8));
  return async (element) => {
    const page = Math.floor(element / inPage);
    const run = within(element, { first: page * inPage, count: Math.min(inPage, total - page * inPage), ...client });
    if (!bitAt(written, page)) return run;
    const at = block + prefix + CHECKSUM + page * (inPage * client.size + CHECKSUM);
    return { ...run, elements: (await file.piece(at, run.count * client.size + CHECKSUM, WHAT)).sealed() };
  };

  function within(element: number, run: Run): Run {
    if (element >= total) throw file.malformed(`${WHAT} has ${total} elements, but element ${element} is wanted`);
    return run;
  }
}
