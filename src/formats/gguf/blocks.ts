/** Block layouts of ggml's plain quantized types (ggml-common.h): each function decodes one block. */

import { smallFloatTable } from '../../base/smallFloats.ts';

/** Decodes the block at `at` of `bytes` into `out` from `to` on. */
export type BlockDecoder = (bytes: Uint8Array, at: number, out: Float32Array, to: number) => void;

const HALVES = smallFloatTable({ exponentBits: 5, mantissaBits: 10, bias: 15, special: 'ieee' });
// The reference computes in f32; rounding at the same steps gives identical bits.
const f32 = Math.fround;

export function half(bytes: Uint8Array, at: number): number {
  return HALVES[bytes[at]! | (bytes[at + 1]! << 8)]!;
}

export function u16(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}

export function u32(bytes: Uint8Array, at: number): number {
  return (u16(bytes, at) | (u16(bytes, at + 2) << 16)) >>> 0;
}

export function signed(byte: number): number {
  return (byte << 24) >> 24;
}

/** 32 values: d (q - 8), the low nibbles first. */
export const decodeQ4_0: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + 2 + i]!;
    out[to + i] = d * ((pair & 15) - 8);
    out[to + 16 + i] = d * ((pair >> 4) - 8);
  }
};

/** 32 values: d q + m. */
export const decodeQ4_1: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at);
  const m = half(bytes, at + 2);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + 4 + i]!;
    out[to + i] = f32(d * (pair & 15)) + m;
    out[to + 16 + i] = f32(d * (pair >> 4)) + m;
  }
};

/** The fifth bits of all 32 values precede the nibbles. */
const fiveBits = (bytes: Uint8Array, highAt: number, pairsAt: number, i: number): number => {
  const pair = bytes[pairsAt + (i & 15)]!;
  const high = (bytes[highAt + (i >> 3)]! >> (i & 7)) & 1;
  return (i < 16 ? pair & 15 : pair >> 4) | (high << 4);
};

export const decodeQ5_0: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at);
  for (let i = 0; i < 32; i++) out[to + i] = d * (fiveBits(bytes, at + 2, at + 6, i) - 16);
};

export const decodeQ5_1: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at);
  const m = half(bytes, at + 2);
  for (let i = 0; i < 32; i++) out[to + i] = f32(d * fiveBits(bytes, at + 4, at + 8, i)) + m;
};

export const decodeQ8_0: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at);
  for (let i = 0; i < 32; i++) out[to + i] = d * signed(bytes[at + 2 + i]!);
};

/** d, the sum of the values (needed only for dot products), then 32 bytes. */
export const decodeQ8_1: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at);
  for (let i = 0; i < 32; i++) out[to + i] = d * signed(bytes[at + 4 + i]!);
};

/** d, then one bit for each of 128 values from the lowest up: d or -d. */
export const decodeQ1_0: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at);
  for (let i = 0; i < 128; i++) out[to + i] = (bytes[at + 2 + (i >> 3)]! >> (i & 7)) & 1 ? d : -d;
};

/** d, then two bits for each of 64 values from the lowest up: d times -1, 0, 1 or 2. */
export const decodeQ2_0: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at);
  for (let i = 0; i < 64; i++) out[to + i] = d * (((bytes[at + 2 + (i >> 2)]! >> (2 * (i & 3))) & 3) - 1);
};

/** E2M1 values times 2, for MXFP4 and NVFP4. */
const FP4 = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12] as const;

/** OCP microscaling: a power of two (halved, because the values are doubled) and 32 nibbles. */
export const decodeMxfp4: BlockDecoder = (bytes, at, out, to) => {
  const d = 2 ** (bytes[at]! - 128);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + 1 + i]!;
    out[to + i] = d * FP4[pair & 15]!;
    out[to + 16 + i] = d * FP4[pair >> 4]!;
  }
};

/** Four groups of 16, each with an unsigned E4M3 scale (halved, because the values are doubled). */
export const decodeNvfp4: BlockDecoder = (bytes, at, out, to) => {
  for (let group = 0; group < 4; group++) {
    const d = unsignedE4m3(bytes[at + group]!) / 2;
    for (let i = 0; i < 8; i++) {
      const pair = bytes[at + 4 + 8 * group + i]!;
      out[to + 16 * group + i] = d * FP4[pair & 15]!;
      out[to + 16 * group + 8 + i] = d * FP4[pair >> 4]!;
    }
  }
};

function unsignedE4m3(code: number): number {
  const exponent = (code >> 3) & 15;
  const mantissa = code & 7;
  if (code === 0x7f) return 0;
  return exponent === 0 ? mantissa * 2 ** -9 : (1 + mantissa / 8) * 2 ** (exponent - 7);
}

/** Non-linear 4-bit levels of IQ4_NL and IQ4_XS. */
export const IQ4_LEVELS = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113] as const;

export const decodeIq4Nl: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at);
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + 2 + i]!;
    out[to + i] = d * IQ4_LEVELS[pair & 15]!;
    out[to + 16 + i] = d * IQ4_LEVELS[pair >> 4]!;
  }
};
