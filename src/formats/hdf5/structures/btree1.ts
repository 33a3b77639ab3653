import { MAX_HDF5_TREE_DEPTH } from '../../../bytes/limits.ts';
import type { Hdf5File } from '../file/hdf5File.ts';

/**
 * Visits the children of the leaves of a version 1 B-tree (specification III.A.1), whose keys have `keySize` bytes.
 * `visit` receives each child and the key before it.
 */
export async function leaves(
  file: Hdf5File,
  root: number,
  kind: 0 | 1,
  keySize: number,
  visit: (child: number, key: Uint8Array) => Promise<void> | void,
): Promise<void> {
  const seen = new Set<number>();
  const headSize = 8 + 2 * file.offsetSize;
  const descend = async (address: number, above: number): Promise<void> => {
    if (seen.has(address)) throw file.malformed('a B-tree points back into itself');
    seen.add(address);
    const head = await file.piece(address, headSize, 'a B-tree node');
    head.expect('TREE');
    if (head.u8() !== kind) throw file.malformed('a B-tree node is of another kind than its tree');
    const level = head.u8();
    if (level >= above) throw file.malformed(`a B-tree has a node of the level ${level} below one of ${above}`);
    const count = head.u16();
    const node = await file.piece(address + headSize, count * (keySize + file.offsetSize), 'a B-tree node');
    for (let i = 0; i < count; i++) {
      const key = node.take(keySize);
      const child = node.place();
      if (level > 0) await descend(child, level);
      else await visit(child, key);
    }
  };
  await descend(root, MAX_HDF5_TREE_DEPTH);
}
