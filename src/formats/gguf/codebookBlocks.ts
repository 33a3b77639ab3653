/** ggml's IQ1, IQ2 and IQ3 types: vectors of a codebook, with signs and scales packed apart. Layouts: ggml-common.h. */

import { type BlockDecoder, half, u16, u32 } from './blocks.ts';
import {
  type Codebook,
  IQ1_CODEBOOK,
  IQ2_S_CODEBOOK,
  IQ2_XS_CODEBOOK,
  IQ2_XXS_CODEBOOK,
  IQ3_S_CODEBOOK,
  IQ3_XXS_CODEBOOK,
} from './codebooks.ts';

const f32 = Math.fround;

/** The unpacked codebook, built when it is first needed. */
function lazyVectors(codebook: Codebook): () => Float32Array {
  let vectors: Float32Array | undefined;
  return () => {
    vectors ??= unpack(codebook);
    return vectors;
  };
}

function unpack({ bits, values, packed }: Codebook): Float32Array {
  const bytes = Buffer.from(packed, 'base64');
  const each = 8 / bits;
  return Float32Array.from(
    { length: bytes.length * each },
    (_, i) => values[(bytes[Math.floor(i / each)]! >> (bits * (i % each))) & ((1 << bits) - 1)]!,
  );
}

const iq1 = lazyVectors(IQ1_CODEBOOK);
const iq2xxs = lazyVectors(IQ2_XXS_CODEBOOK);
const iq2xs = lazyVectors(IQ2_XS_CODEBOOK);
const iq2s = lazyVectors(IQ2_S_CODEBOOK);
const iq3xxs = lazyVectors(IQ3_XXS_CODEBOOK);
const iq3s = lazyVectors(IQ3_S_CODEBOOK);

/** Writes `count` values scale * vector, negated where `signs` has a bit. */
function put(
  out: Float32Array,
  to: number,
  scale: number,
  vectors: Float32Array,
  vector: number,
  count: number,
  signs: number,
): void {
  for (let i = 0; i < count; i++) {
    const value = f32(scale * vectors[vector * count + i]!);
    out[to + i] = (signs >> i) & 1 ? -value : value;
  }
}

/** The eight signs of a group, of which seven are stored; the eighth makes the number of minus signs even. */
function evenSigns(code: number): number {
  let parity = code ^ (code >> 4);
  parity ^= parity >> 2;
  parity ^= parity >> 1;
  return code | ((parity & 1) << 7);
}

export const decodeIq2Xxs: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at);
  for (let group = 0; group < 8; group++) {
    const codes = at + 2 + 8 * group;
    const packed = u32(bytes, codes + 4);
    const scale = f32(f32(d * (0.5 + (packed >>> 28))) * 0.25);
    for (let k = 0; k < 4; k++)
      put(out, to + 32 * group + 8 * k, scale, iq2xxs(), bytes[codes + k]!, 8, evenSigns((packed >>> (7 * k)) & 127));
  }
};

export const decodeIq2Xs: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at);
  for (let k = 0; k < 32; k++) {
    const code = u16(bytes, at + 2 + 2 * k);
    const scale = (bytes[at + 66 + (k >> 2)]! >> (4 * ((k >> 1) & 1))) & 15;
    put(out, to + 8 * k, f32(f32(d * (0.5 + scale)) * 0.25), iq2xs(), code & 511, 8, evenSigns(code >> 9));
  }
};

export const decodeIq2S: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at);
  for (let k = 0; k < 32; k++) {
    const high = (bytes[at + 66 + (k >> 2)]! >> (2 * (k & 3))) & 3;
    const scale = (bytes[at + 74 + (k >> 2)]! >> (4 * ((k >> 1) & 1))) & 15;
    put(
      out,
      to + 8 * k,
      f32(f32(d * (0.5 + scale)) * 0.25),
      iq2s(),
      bytes[at + 2 + k]! | (high << 8),
      8,
      bytes[at + 34 + k]!,
    );
  }
};

export const decodeIq3Xxs: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at);
  for (let group = 0; group < 8; group++) {
    const packed = u32(bytes, at + 66 + 4 * group);
    const scale = f32(f32(d * (0.5 + (packed >>> 28))) * 0.5);
    for (let k = 0; k < 8; k++) {
      const signs = evenSigns((packed >>> (7 * (k >> 1))) & 127) >> (4 * (k & 1));
      put(out, to + 32 * group + 4 * k, scale, iq3xxs(), bytes[at + 2 + 8 * group + k]!, 4, signs);
    }
  }
};

export const decodeIq3S: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at);
  for (let k = 0; k < 64; k++) {
    const high = (bytes[at + 66 + (k >> 3)]! >> (k & 7)) & 1;
    const signs = bytes[at + 74 + (k >> 1)]! >> (4 * (k & 1));
    const scale = (bytes[at + 106 + (k >> 4)]! >> (4 * ((k >> 3) & 1))) & 15;
    put(out, to + 4 * k, f32(d * (1 + 2 * scale)), iq3s(), bytes[at + 2 + k]! | (high << 8), 4, signs);
  }
};

/** Vectors of -1, 0, 1, moved by an eighth up or down: d (2 scale + 1) (vector +- 1/8). */
function putShifted(out: Float32Array, to: number, scale: number, vector: number, shift: number): void {
  for (let i = 0; i < 8; i++) out[to + i] = scale * (iq1()[vector * 8 + i]! + shift);
}

export const decodeIq1S: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at);
  for (let group = 0; group < 8; group++) {
    const packed = u16(bytes, at + 34 + 2 * group);
    const scale = f32(d * (2 * ((packed >> 12) & 7) + 1));
    for (let k = 0; k < 4; k++) {
      const vector = bytes[at + 2 + 4 * group + k]! | (((packed >> (3 * k)) & 7) << 8);
      putShifted(out, to + 32 * group + 8 * k, scale, vector, packed & 0x8000 ? -0.125 : 0.125);
    }
  }
};

/** The f16 scale of the block is spread over the top bits of the four words of scales. */
export const decodeIq1M: BlockDecoder = (bytes, at, out, to) => {
  const words = [0, 1, 2, 3].map((i) => u16(bytes, at + 48 + 2 * i));
  const code = words.reduce((sum, word, i) => sum | ((word >> 12) << (4 * i)), 0);
  const d = half(Uint8Array.of(code & 255, code >> 8), 0);
  for (let k = 0; k < 32; k++) {
    const scale = (words[k >> 3]! >> (3 * ((k >> 1) & 3))) & 7;
    const high = (bytes[at + 32 + (k >> 1)]! >> (4 * (k & 1))) & 15;
    putShifted(
      out,
      to + 8 * k,
      f32(d * (2 * scale + 1)),
      bytes[at + k]! | ((high & 7) << 8),
      high & 8 ? -0.125 : 0.125,
    );
  }
};
