import type { Hdf5File } from '../file/hdf5File.ts';
import { Piece } from '../file/piece.ts';

/** The objects of the most recently read heap, since consecutive texts usually lie in the same one. */
const lastHeap = new WeakMap<Hdf5File, { address: number; objects: Uint8Array }>();
const WHAT = 'a global heap';

/**
 * Reads at most the first `most` bytes of a variable-length text. The attribute itself holds only the length of the
 * text and its place in a global heap (specification III.E).
 */
export async function readHeapText(file: Hdf5File, reference: Piece, most: number): Promise<string> {
  const length = reference.u32();
  const address = reference.address();
  const wanted = reference.u32();
  if (length === 0 || address === undefined) return '';
  const objects = new Piece(file, await objectsOf(file, address), WHAT);
  while (objects.left >= 8 + file.lengthSize) {
    const index = objects.u16();
    objects.skip(6);
    const bytes = objects.length();
    // Object 0 is the free space.
    if (index === 0) break;
    if (index === wanted) return objects.sub(bytes, WHAT).text(Math.min(length, most));
    objects.skip(Math.min(Math.ceil(bytes / 8) * 8, objects.left));
  }
  throw file.malformed(`${WHAT} has no text ${wanted}`);
}

async function objectsOf(file: Hdf5File, address: number): Promise<Uint8Array> {
  const last = lastHeap.get(file);
  if (last?.address === address) return last.objects;
  const headSize = 8 + file.lengthSize;
  const head = await file.piece(address, headSize, WHAT);
  head.expect('GCOL', 1);
  head.skip(3);
  const whole = await file.piece(address, head.length(), WHAT);
  whole.skip(headSize);
  const objects = whole.take(whole.left);
  lastHeap.set(file, { address, objects });
  return objects;
}
