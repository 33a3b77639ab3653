import type { Hdf5File } from '../file/hdf5File.ts';
import type { Piece } from '../file/piece.ts';
import type { Message } from '../objects/objectHeader.ts';
import { records } from '../structures/btree2.ts';
import { openHeap } from '../structures/fractalHeap.ts';
import { type Link, spendLink } from './link.ts';
import { symbolTable } from './symbolTable.ts';

const LINK_INFO = 0x02;
const LINK = 0x06;
const SYMBOL_TABLE = 0x11;
/** Record type of a B-tree of names. */
const BY_NAME = 5;
const HARD = 0;

/** The links of a group, in any of the three forms that its header may have; undefined if the object is not a group. */
export async function linksOf(file: Hdf5File, messages: readonly Message[]): Promise<Link[] | undefined> {
  const links: Link[] = [];
  let isGroup = false;
  for (const { type, body, shared } of messages) {
    if (shared) continue;
    isGroup ||= type === LINK_INFO || type === LINK || type === SYMBOL_TABLE;
    if (type === SYMBOL_TABLE) await symbolTable(file, body.place(), body.place(), links);
    if (type === LINK_INFO) for (const link of await denseLinks(file, body)) links.push(link);
    if (type === LINK) links.push(readLink(body));
  }
  return isGroup ? links : undefined;
}

/**
 * The links of a large group, which are stored in a fractal heap and indexed by a hash of their names. They are sorted
 * by name here.
 */
async function denseLinks(file: Hdf5File, info: Piece): Promise<Link[]> {
  info.skip(1);
  if (info.u8() & 1) info.skip(8);
  const heapAddress = info.address();
  if (heapAddress === undefined) return [];
  const heap = await openHeap(file, heapAddress);
  const links: Link[] = [];
  await records(file, info.place(), [BY_NAME], async (record) => {
    record.skip(4);
    links.push(readLink(await heap.object(record.sub(heap.idSize, 'the ID of a link'))));
  });
  return links.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Specification IV.A.2.g. */
function readLink(body: Piece): Link {
  body.skip(1);
  const flags = body.u8();
  const kind = flags & 8 ? body.u8() : HARD;
  if (flags & 4) body.skip(8);
  if (flags & 0x10) body.skip(1);
  const length = body.number(1 << (flags & 3));
  spendLink(body.file, length);
  const name = body.text(length);
  return { name, address: kind === HARD ? body.place() : undefined };
}
