interface Sizes {
  readonly version: 0 | 1 | 2;
  readonly ownHead: boolean;
}

/**
 * A model of dim 4, hidden dim 6, 2 layers, 2 heads, 1 key/value head, 5 tokens and length 3. Each value is its own
 * position.
 */
export function llama2cBytes({ version, ownHead }: Sizes): Buffer {
  const words = version === 0 && ownHead ? -5 : 5;
  const sizes = [4, 6, 2, 2, 1, words, 3];
  const header = Buffer.alloc(version === 0 ? 28 : 256);
  if (version > 0) {
    header.writeUInt32LE(0x616b3432, 0);
    header.writeInt32LE(version, 4);
    header.writeUInt8(ownHead ? 0 : 1, 36);
  }
  for (const [i, size] of sizes.entries()) header.writeInt32LE(size, (version > 0 ? 8 : 0) + 4 * i);
  if (version === 2) return Buffer.concat([header, quantized(header, ownHead)]);
  const rope = version === 0 ? 3 * 2 : 0;
  const perLayer = 4 + 4 + 16 + 8 + 8 + 16 + 3 * 24;
  const count = 20 + 2 * perLayer + 4 + rope + (ownHead ? 20 : 0);
  return Buffer.concat([header, new Uint8Array(Float32Array.from({ length: count }, (_, i) => i).buffer)]);
}

/** Norms of ones, then matrices whose code at position i is i - 10, in pairs with the scales 1, 2, 3 ... */
function quantized(header: Buffer, ownHead: boolean): Buffer {
  header.writeInt32LE(2, 37);
  const perLayer = [16, 8, 8, 16, 24, 24, 24];
  const counts = [20, ...perLayer.flatMap((count) => [count, count]), ...(ownHead ? [20] : [])];
  const norms = new Float32Array(2 * 2 * 4 + 4).fill(1);
  const matrices = counts.flatMap((count) => [
    new Uint8Array(Int8Array.from({ length: count }, (_, i) => i - 10).buffer),
    new Uint8Array(Float32Array.from({ length: count / 2 }, (_, i) => i + 1).buffer),
  ]);
  return Buffer.concat([new Uint8Array(norms.buffer), ...matrices]);
}
