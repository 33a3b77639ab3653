import { E2M1, E2M3, E4M3, smallFloatTable } from '../../base/smallFloats.ts';
import type { Tensor } from '../tensor.ts';
import { bytesIn, type Packed, unpackBits } from './packed.ts';

/** Small floats along each row, with a scale for each group of them. */
export interface FloatCodes {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  /** One code per byte, two with the low one first, or four in three bytes from the lowest bit up. */
  readonly codes: Tensor;
  readonly scales: Tensor;
  /** The number of scales of a row. */
  readonly groups: number;
  /** The other tensors of the layer. */
  readonly extras: readonly Tensor[];
  /** Reads the scales of `count` rows from `row` on, row-major. */
  scalesOf(row: number, count: number, signal?: AbortSignal): Promise<Float32Array>;
  /** The bits of a code; 4 by default. */
  readonly bits?: 4 | 6 | 8;
  /** Whether the first of two codes in a byte is in its high bits. */
  readonly highFirst?: boolean;
  readonly transposed?: false;
}

const FLOATS = { 4: E2M1, 6: E2M3, 8: E4M3 } as const;

/** The matrix that these codes store. */
export function floatCodes(layout: FloatCodes): Packed {
  const { name, shape, dtype, codes, scales, groups, extras, scalesOf, bits = 4, highFirst, transposed } = layout;
  const cols = shape.at(-1)!;
  const size = cols / groups;
  const values = smallFloatTable(FLOATS[bits]);
  return {
    name,
    shape,
    dtype,
    parts: [codes, scales, ...extras],
    ...(transposed === undefined ? {} : { transposed }),
    async decodeRows(row, out, signal) {
      const [bytes, scale] = await Promise.all([
        bytesIn(codes, (row * cols * bits) / 8, (out.length * bits) / 8, signal),
        scalesOf(row, out.length / cols, signal),
      ]);
      if (bits === 6) {
        const unpacked = new Uint8Array(out.length);
        unpackBits(bytes, 6, unpacked);
        for (let i = 0; i < out.length; i++) out[i] = values[unpacked[i]!]! * scale[Math.floor(i / size)]!;
        return;
      }
      const low = highFirst ? 1 : 0;
      for (let i = 0; i < out.length; i++) {
        const code = bits === 8 ? bytes[i]! : i % 2 === low ? bytes[i >> 1]! & 15 : bytes[i >> 1]! >> 4;
        out[i] = values[code]! * scale[Math.floor(i / size)]!;
      }
    },
  };
}
