import type { Hdf5File } from '../file/hdf5File.ts';
import { leaves } from '../structures/btree1.ts';
import { type Link, spendLink } from './link.ts';

/** The cache type of a symbolic link, which leads to no object header. */
const SYMBOLIC = 2;

/**
 * Adds the links of an old-style group to `links`: a B-tree of symbol table nodes, with the names in a local heap
 * (specification III.B to III.D).
 */
export async function symbolTable(file: Hdf5File, tree: number, heap: number, links: Link[]): Promise<void> {
  const heapHead = await file.piece(heap, 8 + 2 * file.lengthSize + file.offsetSize, 'a local heap');
  heapHead.expect('HEAP');
  heapHead.skip(4);
  const size = heapHead.length();
  heapHead.skip(file.lengthSize);
  const names = await file.piece(heapHead.place(), size, 'the names of a group');
  await leaves(file, tree, 0, file.lengthSize, async (node) => {
    const head = await file.piece(node, 8, 'a symbol table node');
    head.expect('SNOD');
    head.skip(2);
    const count = head.u16();
    const entries = await file.piece(node + 8, count * (2 * file.offsetSize + 24), 'a symbol table node');
    for (let i = 0; i < count; i++) {
      names.at = 0;
      names.skip(entries.place());
      const name = names.text(names.left);
      spendLink(file, name.length);
      const address = entries.address();
      const cached = entries.u32();
      entries.skip(20);
      if (cached !== SYMBOLIC && address === undefined)
        throw file.malformed(`the link ${JSON.stringify(name)} points nowhere`);
      links.push({ name, address: cached === SYMBOLIC ? undefined : address });
    }
  });
}
