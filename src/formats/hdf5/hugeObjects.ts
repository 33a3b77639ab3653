import { records } from './btree2.ts';
import type { Hdf5File } from './bytes.ts';
import type { Piece } from './piece.ts';

const INDIRECT = 1;
const MAX_HUGE = 100_000;

/** Gives objects of a fractal heap that are too large for its blocks, by their number in the B-tree at `tree`, which is read at the first. */
export function hugeObjects(file: Hdf5File, tree: number | undefined): (number: number) => Promise<Piece> {
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
      if (found.size >= MAX_HUGE) throw file.malformed(`a heap has more than ${MAX_HUGE} huge objects`);
      found.set(record.length(), { address, length });
    });
    return found;
  }
}
