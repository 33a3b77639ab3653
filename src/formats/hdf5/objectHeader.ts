import type { Hdf5File, Piece } from './bytes.ts';

export interface Message {
  readonly type: number;
  readonly body: Piece;
}

const CONTINUATION = 0x10;
const MAX_MESSAGES = 100_000;
/** A message may live in another header; only committed datatypes do that, and these are not read here. */
const SHARED = 2;

/** All messages of the object header at `address` (specification IV.A), those of its continuation blocks included. */
export async function readMessages(file: Hdf5File, address: number): Promise<Message[]> {
  const what = `the object header at byte ${address}`;
  const start = await file.piece(address, Math.min(64, file.source.size - file.base - address), what);
  const messages: Message[] = [];
  const blocks: { at: number; length: number }[] = [];
  const version2 = Buffer.from(start.bytes.subarray(0, 4)).toString('latin1') === 'OHDR';
  let tracked = false;
  let first: Piece;
  if (version2) {
    start.skip(4);
    if (start.u8() !== 2) throw file.malformed(`${what} has an unknown version`);
    const flags = start.u8();
    tracked = (flags & 4) !== 0;
    if (flags & 0x20) start.skip(16);
    if (flags & 0x10) start.skip(4);
    const length = start.sized(1 << (flags & 3)) ?? Number.NaN;
    first = await file.piece(address + start.at, length, what);
  } else {
    if (start.u8() !== 1) throw file.malformed(`${what} has an unknown version`);
    start.skip(7);
    const length = start.u32();
    first = await file.piece(address + 16, length, what);
  }
  const parse = (block: Piece) => {
    const header = version2 ? (tracked ? 6 : 4) : 8;
    while (block.left >= header) {
      const type = version2 ? block.u8() : block.u16();
      const length = block.u16();
      const flags = block.u8();
      block.skip(version2 ? (tracked ? 2 : 0) : 3);
      const body = block.sub(length, `message ${type} of ${what}`);
      if (messages.length + blocks.length > MAX_MESSAGES)
        throw file.malformed(`${what} has more than ${MAX_MESSAGES} messages`);
      if (type === CONTINUATION) blocks.push({ at: body.place(), length: body.length() });
      else if ((flags & SHARED) === 0) messages.push({ type, body });
    }
  };
  parse(first);
  for (let i = 0; i < blocks.length; i++) {
    const block = await file.piece(blocks[i]!.at, blocks[i]!.length, `a continuation of ${what}`);
    if (!version2) parse(block);
    else {
      block.expect('OCHK');
      // The last four bytes are a checksum.
      parse(block.sub(block.left - 4, what));
    }
  }
  return messages;
}
