import { MAX_TENSORS } from '../limits.ts';
import type { Hdf5File } from './bytes.ts';
import { type Message, readMessages } from './objectHeader.ts';

export interface FoundObject {
  /** The path from the root, without a leading slash. */
  readonly path: string;
  readonly messages: readonly Message[];
}

interface Link {
  readonly name: string;
  readonly address: number;
}

const LINK_INFO = 0x02;
const LINK = 0x06;
const SYMBOL_TABLE = 0x11;
/** Groups inside groups; Keras nests one or two per layer. */
const MAX_GROUP_DEPTH = 64;
/** Levels of a B-tree: 2^63 entries would not take more. */
const MAX_TREE_DEPTH = 32;

/**
 * Every object below the root that is not a group. An object is visited once, so that groups linked in a circle end; soft and
 * external links are not followed, because they lead to names or to other files.
 */
export async function walk(file: Hdf5File, root: number): Promise<{ objects: FoundObject[]; notFollowed: string[] }> {
  const objects: FoundObject[] = [];
  const notFollowed: string[] = [];
  const visited = new Set<number>();
  const visit = async (address: number, path: string, depth: number): Promise<void> => {
    if (visited.has(address)) return;
    visited.add(address);
    if (depth > MAX_GROUP_DEPTH) throw file.malformed(`groups are nested deeper than ${MAX_GROUP_DEPTH}`);
    if (visited.size > MAX_TENSORS) throw file.malformed(`it holds more than ${MAX_TENSORS} objects`);
    const messages = await readMessages(file, address);
    const isGroup = messages.some(({ type }) => type === LINK_INFO || type === LINK || type === SYMBOL_TABLE);
    if (!isGroup) {
      objects.push({ path, messages });
      return;
    }
    for (const link of await linksOf(file, messages, notFollowed))
      await visit(link.address, path ? `${path}/${link.name}` : link.name, depth + 1);
  };
  await visit(root, '', 0);
  return { objects, notFollowed };
}

async function linksOf(file: Hdf5File, messages: readonly Message[], notFollowed: string[]): Promise<Link[]> {
  const links: Link[] = [];
  for (const { type, body } of messages) {
    if (type === SYMBOL_TABLE) links.push(...(await symbolTable(file, body.place(), body.place())));
    if (type === LINK_INFO) {
      body.skip(1);
      if (body.u8() & 1) body.skip(8);
      // Many links are kept in a fractal heap; writers take it only where they are told to.
      if (body.address() !== undefined) throw file.unsupported('a group keeps its links in a fractal heap');
    }
    if (type === LINK) {
      body.skip(1);
      const flags = body.u8();
      const kind = flags & 8 ? body.u8() : 0;
      if (flags & 4) body.skip(8);
      if (flags & 0x10) body.skip(1);
      const name = body.text(body.sized(1 << (flags & 3)) ?? Number.NaN);
      if (kind === 0) links.push({ name, address: body.place() });
      else notFollowed.push(name);
    }
  }
  return links;
}

/** The old form of a group: a B-tree of symbol table nodes, with the names in a heap. */
async function symbolTable(file: Hdf5File, tree: number, heap: number): Promise<Link[]> {
  const heapHead = await file.piece(heap, 8 + 2 * file.lengthSize + file.offsetSize, 'a local heap');
  heapHead.expect('HEAP');
  heapHead.skip(4);
  const size = heapHead.length();
  heapHead.length();
  const names = await file.piece(heapHead.place(), size, 'the names of a group');
  const links: Link[] = [];
  await leaves(
    file,
    tree,
    0,
    () => file.lengthSize,
    async (node) => {
      const head = await file.piece(node, 8, 'a symbol table node');
      head.expect('SNOD');
      head.skip(2);
      const count = head.u16();
      const entries = await file.piece(node + 8, count * (2 * file.offsetSize + 24), 'a symbol table node');
      for (let i = 0; i < count; i++) {
        names.at = 0;
        names.skip(entries.place());
        const name = names.text(names.left);
        const address = entries.place();
        const cached = entries.u32();
        entries.skip(20);
        // A symbolic link has no header of its own.
        if (cached !== 2) links.push({ name, address });
      }
    },
  );
  return links;
}

/**
 * Visits the children of the lowest level of a version 1 B-tree (specification III.A.1). `keySize` is asked for the bytes of a key,
 * `visit` gets a child and the key before it.
 */
export async function leaves(
  file: Hdf5File,
  root: number,
  kind: 0 | 1,
  keySize: () => number,
  visit: (child: number, key: Uint8Array) => Promise<void> | void,
): Promise<void> {
  const seen = new Set<number>();
  const descend = async (address: number, depth: number): Promise<void> => {
    if (seen.has(address) || depth > MAX_TREE_DEPTH) throw file.malformed('a B-tree points back into itself');
    seen.add(address);
    const head = await file.piece(address, 8 + 2 * file.offsetSize, 'a B-tree node');
    head.expect('TREE');
    if (head.u8() !== kind) throw file.malformed('a B-tree node is of another kind than its tree');
    const level = head.u8();
    const count = head.u16();
    const node = await file.piece(
      address + 8 + 2 * file.offsetSize,
      count * (keySize() + file.offsetSize),
      'a B-tree node',
    );
    for (let i = 0; i < count; i++) {
      const at = node.skip(keySize());
      const child = node.place();
      if (level > 0) await descend(child, depth + 1);
      else await visit(child, node.bytes.subarray(at, at + keySize()));
    }
  };
  await descend(root, 0);
}
