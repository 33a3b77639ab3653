import { MAX_HDF5_MESSAGES } from '../../../bytes/limits.ts';
import type { Hdf5File } from '../file/hdf5File.ts';
import { CHECKSUM, type Piece } from '../file/piece.ts';

export interface Message {
  readonly type: number;
  readonly body: Piece;
  /** Whether the body is only a reference to the message. */
  readonly shared: boolean;
}

const CONTINUATION = 0x10;
const SHARED = 2;
/** Bytes at the start of a header that are enough to learn its length. */
const PROBE = 64;

/** All messages of the object header at `address`, including those in its continuation blocks (specification IV.A). */
export async function readMessages(file: Hdf5File, address: number): Promise<Message[]> {
  const what = `the object header at byte ${address}`;
  const start = await file.piece(address, Math.min(PROBE, Math.max(0, file.source.size - file.base - address)), what);
  const version2 = Buffer.from(start.bytes.subarray(0, 4)).toString('latin1') === 'OHDR';
  const first = version2
    ? await version2Header(file, address, start, what)
    : await version1Header(file, address, start, what);
  const messages: Message[] = [];
  const blocks: { at: number; length: number }[] = [];
  const seen = new Set([address]);
  const parse = (block: Piece) => {
    const { order } = first;
    const head = version2 ? 4 + order : 8;
    // Anything shorter than the head of a message is a gap.
    while (block.left >= head) {
      const type = version2 ? block.u8() : block.u16();
      const length = block.u16();
      const flags = block.u8();
      block.skip(version2 ? order : 3);
      const body = block.sub(length, `message ${type} of ${what}`);
      if (messages.length + blocks.length >= MAX_HDF5_MESSAGES)
        throw file.malformed(`${what} has more than ${MAX_HDF5_MESSAGES} messages`);
      if (type === CONTINUATION) blocks.push({ at: body.place(), length: body.length() });
      else messages.push({ type, body, shared: (flags & SHARED) !== 0 });
    }
  };
  parse(first.messages);
  for (const { at, length } of blocks) {
    if (seen.has(at)) throw file.malformed(`${what} continues in itself`);
    seen.add(at);
    const block = await file.piece(at, length, `a continuation of ${what}`);
    if (!version2) parse(block);
    else {
      const body = block.sealed();
      body.expect('OCHK');
      parse(body);
    }
  }
  return messages;
}

interface FirstBlock {
  readonly messages: Piece;
  /** Bytes of a message's creation order; 0 if it is not tracked. */
  readonly order: number;
}

async function version1Header(file: Hdf5File, address: number, start: Piece, what: string): Promise<FirstBlock> {
  if (start.u8() !== 1) throw file.malformed(`${what} has an unknown version`);
  start.skip(7);
  return { messages: await file.piece(address + 16, start.u32(), what), order: 0 };
}

async function version2Header(file: Hdf5File, address: number, start: Piece, what: string): Promise<FirstBlock> {
  start.expect('OHDR', 2);
  const flags = start.u8();
  if (flags & 0x20) start.skip(16);
  if (flags & 0x10) start.skip(4);
  const length = start.number(1 << (flags & 3));
  const messages = (await file.piece(address, start.at + length + CHECKSUM, what)).sealed();
  messages.skip(start.at);
  return { messages, order: flags & 4 ? 2 : 0 };
}
