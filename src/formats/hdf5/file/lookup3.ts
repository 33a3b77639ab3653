/**
 * The checksum of HDF5's newer structures: Bob Jenkins' lookup3 (`hashlittle` with the initial value 0, public domain,
 * 2006), an unsigned 32-bit number. The four bytes at `blank` count as zeros, because a fractal heap's block contains
 * its own checksum.
 */
export function lookup3(bytes: Uint8Array, blank = Number.NaN): number {
  let c = (0xdeadbeef + bytes.length) | 0;
  let [a, b] = [c, c];
  const at = (i: number) => (i >= blank && i < blank + 4 ? 0 : (bytes[i] ?? 0));
  const word = (i: number) => at(i) | (at(i + 1) << 8) | (at(i + 2) << 16) | (at(i + 3) << 24);
  if (bytes.length === 0) return c >>> 0;
  // The last 1 to 12 bytes are padded with zeros and mixed differently.
  let i = 0;
  for (; bytes.length - i > 12; i += 12) {
    a = (a + word(i)) | 0;
    b = (b + word(i + 4)) | 0;
    c = (c + word(i + 8)) | 0;
    a = (a - c) ^ rotate(c, 4);
    c = (c + b) | 0;
    b = (b - a) ^ rotate(a, 6);
    a = (a + c) | 0;
    c = (c - b) ^ rotate(b, 8);
    b = (b + a) | 0;
    a = (a - c) ^ rotate(c, 16);
    c = (c + b) | 0;
    b = (b - a) ^ rotate(a, 19);
    a = (a + c) | 0;
    c = (c - b) ^ rotate(b, 4);
    b = (b + a) | 0;
  }
  a = (a + word(i)) | 0;
  b = (b + word(i + 4)) | 0;
  c = (c + word(i + 8)) | 0;
  c = (c ^ b) - rotate(b, 14);
  a = (a ^ c) - rotate(c, 11);
  b = (b ^ a) - rotate(a, 25);
  c = (c ^ b) - rotate(b, 16);
  a = (a ^ c) - rotate(c, 4);
  b = (b ^ a) - rotate(a, 14);
  c = (c ^ b) - rotate(b, 24);
  return c >>> 0;
}

function rotate(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by));
}
