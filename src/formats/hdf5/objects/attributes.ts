import { MAX_HDF5_ATTRIBUTE_NAME, MAX_HDF5_ATTRIBUTES, MAX_HDF5_TEXT } from '../../../bytes/limits.ts';
import type { Hdf5File } from '../file/hdf5File.ts';
import type { Piece } from '../file/piece.ts';
import type { FoundObject } from '../groups/walk.ts';
import { records } from '../structures/btree2.ts';
import { openHeap } from '../structures/fractalHeap.ts';
import { readHeapText } from '../structures/globalHeap.ts';
import { readShape } from './dataspace.ts';
import { DATATYPE, type NumberType, readType } from './datatype.ts';
import { bodyOf, sharedBody } from './sharedMessage.ts';

const ATTRIBUTE = 0x0c;
const ATTRIBUTE_INFO = 0x15;
/** Record type of a B-tree of names. */
const BY_NAME = 8;

/**
 * The attributes of an object that are single texts, with long ones cut off. They lie in the object's header or, if
 * there are many, in a fractal heap.
 * @throws RankscopeError 'malformed', or 'unsupported'
 */
export async function textsOf(file: Hdf5File, { messages }: FoundObject): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  let count = 0;
  const take = async (body: Piece) => {
    if (++count > MAX_HDF5_ATTRIBUTES) return;
    const { name, type, shape, data } = await readAttribute(file, body);
    const text =
      shape.length === 0 && name.length <= MAX_HDF5_ATTRIBUTE_NAME ? await textOf(file, type, data) : undefined;
    if (text !== undefined) texts.set(name, text);
  };
  for (const message of messages) {
    if (message.type === ATTRIBUTE) await take(await bodyOf(file, message));
    if (message.type === ATTRIBUTE_INFO) await dense(await bodyOf(file, message));
  }
  return texts;

  async function dense(info: Piece): Promise<void> {
    info.skip(1);
    if (info.u8() & 1) info.skip(2);
    const heapAddress = info.address();
    if (heapAddress === undefined) return;
    const heap = await openHeap(file, heapAddress);
    await records(file, info.place(), [BY_NAME], async (record) => {
      if (count >= MAX_HDF5_ATTRIBUTES) return;
      await take(await heap.object(record.sub(heap.idSize, 'the ID of an attribute')));
    });
  }
}

interface Attribute {
  readonly name: string;
  readonly type: NumberType;
  readonly shape: readonly number[];
  readonly data: Piece;
}

/**
 * Specification IV.A.2.m: version 1 pads its parts to multiples of 8 bytes, and version 3 adds the encoding of the
 * name.
 */
async function readAttribute(file: Hdf5File, body: Piece): Promise<Attribute> {
  const version = body.u8();
  if (version < 1 || version > 3)
    throw file.unsupported(`an attribute has version ${version}; versions 1 to 3 are supported`);
  const flags = body.u8();
  const sizes = [body.u16(), body.u16(), body.u16()];
  if (version === 3) body.skip(1);
  const [name, type, space] = sizes.map((size) => {
    const part = body.sub(size, 'a part of an attribute');
    if (version === 1) body.skip(Math.min(-size & 7, body.left));
    return part;
  }) as [Piece, Piece, Piece];
  // Version 1 has a reserved byte in place of the flags.
  const ownType = version > 1 && flags & 1 ? await sharedBody(file, type, DATATYPE) : type;
  const { shape } = readShape(space);
  return {
    name: name.text(name.left),
    type: readType(ownType),
    shape,
    data: body.sub(body.left, 'the value of an attribute'),
  };
}

async function textOf(
  file: Hdf5File,
  { dtype, bytes, variable }: NumberType,
  data: Piece,
): Promise<string | undefined> {
  if (dtype !== 'STRING') return undefined;
  return variable ? await readHeapText(file, data, MAX_HDF5_TEXT) : data.text(Math.min(bytes, MAX_HDF5_TEXT));
}
