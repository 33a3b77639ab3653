import type { Hdf5File } from '../file/hdf5File.ts';
import type { Piece } from '../file/piece.ts';
import { type Message, readMessages } from './objectHeader.ts';

/** Where the version 3 of a shared message says that it lies in the file's own heap of messages. */
const IN_HEAP = 1;

/** The body of a message of an object, or of the one elsewhere that it stands for: a committed datatype (specification IV.A.2, "Shared"). */
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
  if (!found) throw file.malformed(`a shared message of the kind ${wanted} is not where it should be`);
  return found.body;
}
