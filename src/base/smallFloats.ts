import { numbersIn } from './numbersIn.ts';

/** A binary floating-point format of at most 16 bits: sign bit, exponent, mantissa. */
export interface SmallFloat {
  readonly exponentBits: number;
  readonly mantissaBits: number;
  readonly bias: number;
  /**
   * Which codes are NaN and infinity. `ieee`: those of the highest exponent. `nan-at-top`: all ones is NaN, no infinity
   * (OCP FP8 E4M3). `nan-at-minus-zero`: NaN takes the code of minus zero, no infinity (the "fnuz" types). `none`:
   * every code is a number (4 bits).
   */
  readonly special: 'ieee' | 'nan-at-top' | 'nan-at-minus-zero' | 'none';
}

/** The 4-bit floats of OCP MX. */
export const E2M1: SmallFloat = { exponentBits: 2, mantissaBits: 1, bias: 1, special: 'none' };

/** The 6-bit floats of OCP MX with the longer mantissa. */
export const E2M3: SmallFloat = { exponentBits: 2, mantissaBits: 3, bias: 1, special: 'none' };

/** The 8-bit floats of OCP without infinity. */
export const E4M3: SmallFloat = { exponentBits: 4, mantissaBits: 3, bias: 7, special: 'nan-at-top' };

/** The value of each code: 65,536 entries for 16 bits, 256 for 8. */
export function smallFloatTable(float: SmallFloat): Float32Array {
  const half = 1 << (float.exponentBits + float.mantissaBits);
  const table = new Float32Array(2 * half);
  for (let code = 0; code < half; code++) {
    const value = magnitude(float, code);
    table[code] = value;
    table[half + code] = -value;
  }
  if (float.special === 'nan-at-minus-zero') table[half] = Number.NaN;
  return table;
}

function magnitude({ exponentBits, mantissaBits, bias, special }: SmallFloat, code: number): number {
  const top = (1 << exponentBits) - 1;
  const exponent = code >> mantissaBits;
  const steps = 1 << mantissaBits;
  const mantissa = code & (steps - 1);
  if (special === 'ieee' && exponent === top) return mantissa === 0 ? Number.POSITIVE_INFINITY : Number.NaN;
  if (special === 'nan-at-top' && exponent === top && mantissa === steps - 1) return Number.NaN;
  return exponent === 0 ? (mantissa / steps) * 2 ** (1 - bias) : (1 + mantissa / steps) * 2 ** (exponent - bias);
}

/** A function that decodes the first `out.length` codes of `bytes`, each one byte or two little-endian bytes. */
export function smallFloatDecoder(float: SmallFloat): (bytes: Uint8Array, out: Float32Array) => void {
  const lookUp = 1 + float.exponentBits + float.mantissaBits === 16 ? lookUp16 : lookUp8;
  let table: Int32Array | undefined;
  return (bytes, out) => {
    table ??= bitsOfFloats(smallFloatTable(float));
    lookUp(table, bytes, bitsOfFloats(out));
  };
}

/** A view of the bits of f32 numbers: copying integers is faster than copying floats, and preserves every NaN. */
export function bitsOfFloats(floats: Float32Array): Int32Array {
  return new Int32Array(floats.buffer, floats.byteOffset, floats.length);
}

function lookUp8(table: Int32Array, codes: Uint8Array, bits: Int32Array): void {
  for (let i = 0; i < bits.length; i++) bits[i] = table[codes[i]!]!;
}

/** Two codes per step: one load instead of two makes this 1.4 times as fast. */
function lookUp16(table: Int32Array, bytes: Uint8Array, bits: Int32Array): void {
  const pairs = numbersIn(Uint32Array, 4, bytes, bits.length >> 1);
  for (let i = 0; i < pairs.length; i++) {
    const pair = pairs[i]!;
    bits[2 * i] = table[pair & 0xffff]!;
    bits[2 * i + 1] = table[pair >>> 16]!;
  }
  if (bits.length % 2 === 1) bits[bits.length - 1] = table[lastCode(bytes, bits.length)]!;
}

/** The last of an odd number of 16-bit codes. */
export function lastCode(bytes: Uint8Array, count: number): number {
  return bytes[2 * count - 2]! | (bytes[2 * count - 1]! << 8);
}
