import type { Allowance } from '../../../bytes/allowance.ts';
import type { ByteSource } from '../../../bytes/source/byteSource.ts';
import type { Widths } from './fileContext.ts';
import { Hdf5File } from './hdf5File.ts';

export const SIGNATURE = Uint8Array.of(0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a);

export interface Superblock {
  readonly file: Hdf5File;
  /** Address of the root group's object header. */
  readonly root: number;
}

/**
 * Superblock versions 0 to 3 (HDF5 File Format Specification 3.0, II.A).
 * @throws 'malformed' if the file is shorter than it states
 */
export async function readSuperblock(
  source: ByteSource,
  allowance: Allowance,
  signal?: AbortSignal,
): Promise<Superblock> {
  const at = (widths: Widths) => new Hdf5File(source, widths, allowance, signal);
  const probe = at({ offsetSize: 8, lengthSize: 8, base: 0 });
  const head = await probe.piece(0, Math.min(source.size, 24), 'the superblock');
  head.skip(SIGNATURE.length);
  const version = head.u8();
  if (version > 3) throw probe.unsupported(`its superblock has version ${version}; versions 0 to 3 are supported`);
  if (version < 2) head.skip(4);
  const [offsetSize, lengthSize] = [head.u8(), head.u8()];
  for (const size of [offsetSize, lengthSize])
    if (![2, 4, 8].includes(size)) throw probe.malformed(`its superblock states that addresses have ${size} bytes`);
  const begin = version === 0 ? 24 : version === 1 ? 28 : 12;
  // Versions 0 and 1 end with the root group's symbol table entry, which begins with its name and its header. Later
  // versions end with a checksum.
  const addresses = version < 2 ? 6 : 4;
  const file = at({ offsetSize, lengthSize, base: 0 });
  const length = begin + addresses * offsetSize;
  const whole = await (version < 2
    ? file.piece(0, length, 'the superblock')
    : file.piece(0, length + 4, 'the superblock').then((piece) => piece.sealed()));
  whole.skip(begin);
  const base = whole.place();
  whole.address();
  const end = whole.address();
  whole.skip((addresses - 4) * offsetSize);
  const root = whole.place();
  if (end !== undefined && end > source.size)
    throw file.malformed(`it should have ${end} bytes, but the file ends at ${source.size}`);
  return { file: at({ offsetSize, lengthSize, base }), root };
}
