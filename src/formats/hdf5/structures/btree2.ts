import { MAX_HDF5_TREE_DEPTH } from '../../../bytes/limits.ts';
import type { Hdf5File } from '../file/hdf5File.ts';
import { CHECKSUM, type Piece } from '../file/piece.ts';

/** Bytes before a node's records: signature, version and type. */
const NODE_HEAD = 6;

interface Level {
  /** The most records that a node of this level can hold. */
  readonly records: number;
  /** The most records in such a node and below it. */
  readonly all: number;
  /** Bytes of a pointer to a child; 0 for leaves. */
  readonly pointer: number;
}

/**
 * Visits the records of a version 2 B-tree (specification III.A.2) of one of the `types`. The records of a node come
 * before those below it.
 * @throws RankscopeError 'malformed', also if the tree does not hold as many records as its header states
 */
export async function records(
  file: Hdf5File,
  address: number,
  types: readonly number[],
  visit: (record: Piece, type: number) => Promise<void> | void,
): Promise<void> {
  const { offsetSize, lengthSize } = file;
  const head = await file.sealed(address, 22 + offsetSize + lengthSize, 'BTHD', 'a B-tree');
  const type = head.u8();
  if (!types.includes(type))
    throw file.malformed(`a B-tree has records of the type ${type}, not ${types.join(' or ')}`);
  const nodeSize = head.u32();
  const recordSize = head.u16();
  const depth = head.u16();
  head.skip(2);
  const root = head.address();
  const rootCount = head.u16();
  const total = head.length();
  if (depth > MAX_HDF5_TREE_DEPTH) throw file.malformed(`a B-tree has ${depth} levels`);
  const levels = levelsOf(offsetSize, nodeSize, recordSize, depth);
  const countSize = bytesOf(levels[0]!.records);
  const seen = new Set<number>();
  let visited = 0;
  if (root !== undefined) await descend(root, rootCount, depth);
  if (visited !== total) throw file.malformed(`a B-tree holds ${visited} records, but its header states ${total}`);

  async function descend(place: number, count: number, depthHere: number): Promise<void> {
    const level = levels[depthHere]!;
    if (seen.has(place)) throw file.malformed('a B-tree points back into itself');
    seen.add(place);
    visited += count;
    if (count > level.records || visited > total)
      throw file.malformed(`a B-tree has a node of ${count} records, more than it can hold`);
    const children = depthHere > 0 ? count + 1 : 0;
    const length = NODE_HEAD + count * recordSize + children * level.pointer + CHECKSUM;
    const node = await file.sealed(place, length, depthHere > 0 ? 'BTIN' : 'BTLF', 'a B-tree node');
    if (node.u8() !== type) throw file.malformed('a B-tree node is of another kind than its tree');
    for (let i = 0; i < count; i++) await visit(node.sub(recordSize, 'a B-tree record'), type);
    for (let i = 0; i < children; i++) {
      const child = node.sub(level.pointer, 'a B-tree node');
      await descend(child.place(), child.number(countSize), depthHere - 1);
    }
  }
}

/** The levels from the leaves up, sized as in the reference library (H5B2hdr.c). */
function levelsOf(offsetSize: number, nodeSize: number, recordSize: number, depth: number): Level[] {
  const room = nodeSize - NODE_HEAD - CHECKSUM;
  const most = Math.floor(room / recordSize);
  const levels: Level[] = [{ records: most, all: most, pointer: 0 }];
  for (let i = 1; i <= depth; i++) {
    const below = levels[i - 1]!;
    const pointer = offsetSize + bytesOf(most) + (i > 1 ? bytesOf(below.all) : 0);
    const here = Math.floor((room - pointer) / (recordSize + pointer));
    levels.push({ records: here, all: (here + 1) * below.all + here, pointer });
  }
  return levels;
}

/** Bytes that can hold every number up to `most`. */
export function bytesOf(most: number): number {
  return Math.min(8, Math.floor(Math.log2(Math.max(1, most)) / 8) + 1);
}
