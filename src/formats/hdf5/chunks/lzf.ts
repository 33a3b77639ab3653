import type { Hdf5File } from '../file/hdf5File.ts';

const LITERALS = 32;
const LONG = 7;

/**
 * Undoes LibLZF, h5py's own fast compression: a control byte below 32 stands before that many bytes and one more; any other names how far
 * back to copy from (13 bits), and how much (3 bits, or a byte more).
 */
export function unpackLzf(file: Hdf5File, bytes: Uint8Array, most: number): Uint8Array {
  const out = new Uint8Array(most);
  let [at, filled] = [0, 0];
  const next = (): number => {
    const byte = bytes[at++];
    if (byte === undefined) throw damaged();
    return byte;
  };
  while (at < bytes.length) {
    const control = next();
    if (control < LITERALS) {
      const end = at + control + 1;
      if (end > bytes.length || filled + control + 1 > most) throw damaged();
      out.set(bytes.subarray(at, end), filled);
      filled += control + 1;
      at = end;
      continue;
    }
    const short = control >> 5;
    const length = (short === LONG ? short + next() : short) + 2;
    let from = filled - (((control & 31) << 8) | next()) - 1;
    if (from < 0 || filled + length > most) throw damaged();
    // What is copied may be what this very copy writes.
    for (const end = filled + length; filled < end; ) out[filled++] = out[from++]!;
  }
  return out.subarray(0, filled);

  function damaged(): Error {
    return file.malformed('a chunk compressed by lzf cannot be unpacked');
  }
}
