interface Sizes {
  readonly version: 0 | 1;
  readonly ownHead: boolean;
}

/** A model of dim 4, hidden 6, 2 layers, 2 heads of which 1 for keys, 5 words, length 3; each value is its own position. */
export function llama2cBytes({ version, ownHead }: Sizes): Buffer {
  const words = version === 0 && ownHead ? -5 : 5;
  const sizes = [4, 6, 2, 2, 1, words, 3];
  const header = Buffer.alloc(version === 0 ? 28 : 256);
  if (version === 1) {
    header.writeUInt32LE(0x616b3432, 0);
    header.writeInt32LE(1, 4);
    header.writeUInt8(ownHead ? 0 : 1, 36);
  }
  for (const [i, size] of sizes.entries()) header.writeInt32LE(size, (version === 1 ? 8 : 0) + 4 * i);
  const rope = version === 0 ? 3 * 2 : 0;
  const perLayer = 4 + 4 + 16 + 8 + 8 + 16 + 3 * 24;
  const count = 20 + 2 * perLayer + 4 + rope + (ownHead ? 20 : 0);
  return Buffer.concat([header, new Uint8Array(Float32Array.from({ length: count }, (_, i) => i).buffer)]);
}
