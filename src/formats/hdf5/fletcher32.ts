/** More words than this could overflow the sums. */
const WORDS = 360;

/** Fletcher's checksum over big-endian words of 16 bits, an odd last byte counting as a word's first, as HDF5 takes it (H5checksum.c). */
export function fletcher32(bytes: Uint8Array): number {
  let [first, second] = [0, 0];
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + 2 * WORDS);
    for (; at < end; at += 2) {
      first += (bytes[at]! << 8) | (bytes[at + 1] ?? 0);
      second += first;
    }
    first = folded(first);
    second = folded(second);
  }
  return ((folded(second) << 16) | folded(first)) >>> 0;
}

function folded(sum: number): number {
  return (sum & 0xffff) + (sum >>> 16);
}
