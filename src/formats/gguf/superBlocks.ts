/** The k-quants and ternary types of ggml: super-blocks of 256 values with packed scales. Layouts: ggml-common.h. */

import { type BlockDecoder, half, IQ4_LEVELS, signed, u16 } from './blocks.ts';

const f32 = Math.fround;

/** 16 groups of 16; one byte per group holds a 4-bit scale and a 4-bit minimum. */
export const decodeQ2_K: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at + 80);
  const min = half(bytes, at + 82);
  for (let i = 0; i < 256; i++) {
    const scale = bytes[at + (i >> 4)]!;
    const q = (bytes[at + 16 + 32 * (i >> 7) + (i & 31)]! >> (2 * ((i >> 5) & 3))) & 3;
    out[to + i] = f32(f32(d * (scale & 15)) * q) - f32(min * (scale >> 4));
  }
};

/** Two low bits per value, the third (inverted) in a mask; 16 scales of 6 bits, offset by 32. */
export const decodeQ3_K: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at + 108);
  for (let i = 0; i < 256; i++) {
    const group = i >> 4;
    const low = (bytes[at + 96 + (group & 7)]! >> (4 * (group >> 3))) & 15;
    const high = (bytes[at + 104 + (group & 3)]! >> (2 * (group >> 2))) & 3;
    const q = (bytes[at + 32 + 32 * (i >> 7) + (i & 31)]! >> (2 * ((i >> 5) & 3))) & 3;
    const kept = (bytes[at + (i & 31)]! >> (i >> 5)) & 1;
    out[to + i] = f32(d * ((low | (high << 4)) - 32)) * (kept ? q : q - 4);
  }
};

/** 8 scales and 8 minima of 6 bits in 12 bytes: [scale, minimum] of `group`. */
function scaleAndMin(bytes: Uint8Array, at: number, group: number): [number, number] {
  if (group < 4) return [bytes[at + group]! & 63, bytes[at + 4 + group]! & 63];
  const pair = bytes[at + 4 + group]!;
  return [(pair & 15) | ((bytes[at + group - 4]! >> 6) << 4), (pair >> 4) | ((bytes[at + group]! >> 6) << 4)];
}

export const decodeQ4_K: BlockDecoder = (bytes, at, out, to) =>
  decodeGroupsOf32(bytes, at, out, to, undefined, at + 16);
export const decodeQ5_K: BlockDecoder = (bytes, at, out, to) => decodeGroupsOf32(bytes, at, out, to, at + 16, at + 48);

/** d scale q - dmin minimum; fifth bits, if any, are stored in one bit plane per group. */
function decodeGroupsOf32(
  bytes: Uint8Array,
  at: number,
  out: Float32Array,
  to: number,
  planes: number | undefined,
  nibbles: number,
) {
  const d = half(bytes, at);
  const min = half(bytes, at + 2);
  for (let group = 0; group < 8; group++) {
    const [scale, minimum] = scaleAndMin(bytes, at + 4, group);
    const step = f32(d * scale);
    const base = f32(min * minimum);
    for (let i = 0; i < 32; i++) {
      const nibble = (bytes[nibbles + 32 * (group >> 1) + i]! >> (4 * (group & 1))) & 15;
      const fifth = planes === undefined ? 0 : (bytes[planes + i]! >> group) & 1;
      out[to + 32 * group + i] = f32(step * (nibble | (fifth << 4))) - base;
    }
  }
}

/** Four low and two high bits per value; 16 signed 8-bit scales. */
export const decodeQ6_K: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at + 208);
  for (let i = 0; i < 256; i++) {
    const part = (i >> 5) & 3; // of a half of 128 values
    const low = (bytes[at + 64 * (i >> 7) + 32 * (part & 1) + (i & 31)]! >> (4 * (part >> 1))) & 15;
    const high = (bytes[at + 128 + 32 * (i >> 7) + (i & 31)]! >> (2 * part)) & 3;
    out[to + i] = f32(d * signed(bytes[at + 192 + (i >> 4)]!)) * ((low | (high << 4)) - 32);
  }
};

/** An f32 scale, 256 bytes, and sums that only dot products need. */
export const decodeQ8_K: BlockDecoder = (bytes, at, out, to) => {
  const d = new DataView(bytes.buffer, bytes.byteOffset + at, 4).getFloat32(0, true);
  for (let i = 0; i < 256; i++) out[to + i] = d * signed(bytes[at + 4 + i]!);
};

/** 8 groups of 32 with scales of 6 bits in two parts, values by the table of IQ4_NL. */
export const decodeIq4Xs: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at);
  const high = u16(bytes, at + 2);
  for (let group = 0; group < 8; group++) {
    const low = (bytes[at + 4 + (group >> 1)]! >> (4 * (group & 1))) & 15;
    const step = f32(d * ((low | (((high >> (2 * group)) & 3) << 4)) - 32));
    for (let i = 0; i < 16; i++) {
      const pair = bytes[at + 8 + 16 * group + i]!;
      out[to + 32 * group + i] = step * IQ4_LEVELS[pair & 15]!;
      out[to + 32 * group + 16 + i] = step * IQ4_LEVELS[pair >> 4]!;
    }
  }
};

/**
 * Five ternary digits a byte, as a fixed-point fraction: multiplying by 3^k brings digit k to the top. Runs of digits:
 * 160 in 32 bytes, 80 in 16, and the last 16 in 4.
 */
export const decodeTq1_0: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at + 52);
  let next = to;
  for (const [from, width, digits] of [
    [0, 32, 5],
    [32, 16, 5],
    [48, 4, 4],
  ] as const) {
    for (let k = 0; k < digits; k++) {
      for (let i = 0; i < width; i++) {
        const shifted = (bytes[at + from + i]! * 3 ** k) & 255;
        out[next++] = d * (((shifted * 3) >> 8) - 1);
      }
    }
  }
};

export const decodeTq2_0: BlockDecoder = (bytes, at, out, to) => {
  const d = half(bytes, at + 64);
  for (let i = 0; i < 256; i++) {
    const q = (bytes[at + 32 * (i >> 7) + (i & 31)]! >> (2 * ((i >> 5) & 3))) & 3;
    out[to + i] = d * (q - 1);
  }
};
