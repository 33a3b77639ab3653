import type { Hdf5File } from '../file/hdf5File.ts';

const LITERALS = 32;
const LONG = 7;

/**
 * Decompresses LibLZF, the fast compression of h5py. A control byte c below 32 is followed by c + 1 literal bytes. Any
 * other begins a copy of earlier output, with a distance of 13 bits and a length of 3 bits that another byte may
 * extend.
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
    // The source may overlap the output of this same copy.
    for (const end = filled + length; filled < end; ) out[filled++] = out[from++]!;
  }
  return out.subarray(0, filled);

  function damaged(): Error {
    return file.malformed('a chunk compressed by lzf cannot be unpacked');
  }
}
