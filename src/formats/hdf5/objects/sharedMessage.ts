import type { Hdf5File } from '../file/hdf5File.ts';
import type { Piece } from '../file/piece.ts';
import { type Message, readMessages } from './objectHeader.ts';

/** The kind of a version 3 shared message that is stored in the file's heap of shared messages. */
const IN_HEAP = 1;

/**
 * The body of a message. A shared message, such as a committed datatype, is read where it is stored (specification
 * IV.A.2, "Shared").
 */
export async function bodyOf(file: Hdf5File, message: Message): Promise<Piece> {
  return message.shared ? await sharedBody(file, message.body, message.type) : message.body;
}

export async function sharedBody(file: Hdf5File, pointer: Piece, wanted: number): Promise<Piece> {
  const version = pointer.u8();
  const kind = pointer.u8();
  if (version === 3 && kind === IN_HEAP)
    throw file.unsupported('its objects share messages in a heap of the whole file');
  if (version === 1) pointer.skip(6 + file.lengthSize);
  const messages = await readMessages(file, pointer.place());
  const found = messages.find(({ type, shared }) => type === wanted && !shared);
  if (!found) throw file.malformed(`a shared message of type ${wanted} is missing where it should be`);
  return found.body;
}
