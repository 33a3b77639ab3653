import type { ByteSource } from '../byteSource.ts';
import { Hdf5File } from './bytes.ts';

export const SIGNATURE = Uint8Array.of(0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a);

export interface Superblock {
  readonly file: Hdf5File;
  /** Address of the root group's object header. */
  readonly root: number;
}

/** HDF5 File Format Specification 3.0, II.A: superblock versions 0 to 3. */
export async function readSuperblock(source: ByteSource, signal?: AbortSignal): Promise<Superblock> {
  const probe = new Hdf5File(source, 8, 8, 0, signal);
  const head = await probe.piece(0, Math.min(source.size, 120), 'the superblock');
  head.skip(8);
  const version = head.u8();
  if (version > 3) throw probe.unsupported(`its superblock has the version ${version}; known are 0 to 3`);
  if (version < 2) head.skip(4);
  const [offsetSize, lengthSize] = [head.u8(), head.u8()];
  for (const size of [offsetSize, lengthSize])
    if (![2, 4, 8].includes(size)) throw probe.malformed(`its superblock says that addresses have ${size} bytes`);
  if (version >= 2) head.skip(1);
  else head.skip(version === 0 ? 9 : 13);
  const sized = new Hdf5File(source, offsetSize, lengthSize, 0, signal);
  const rest = await sized.piece(head.at, Math.min(source.size - head.at, 80), 'the superblock');
  const base = rest.place();
  rest.address();
  rest.address();
  // Version 0 and 1 end with the symbol table entry of the root group: its name, then its header.
  if (version < 2) rest.skip(2 * offsetSize);
  return { file: new Hdf5File(source, offsetSize, lengthSize, base, signal), root: rest.place() };
}
