/** A binary floating point format of at most 16 bits: one sign bit, then exponent, then mantissa. */
export interface SmallFloat {
  readonly exponentBits: number;
  readonly mantissaBits: number;
  readonly bias: number;
  /**
   * Where NaN and infinity are. `ieee`: at the highest exponent. `nan-at-top`: NaN at all ones, no infinity (OCP FP8 E4M3).
   * `nan-at-minus-zero`: NaN where minus zero would be, no infinity (the "fnuz" types). `none`: numbers only (4 bits).
   */
  readonly special: 'ieee' | 'nan-at-top' | 'nan-at-minus-zero' | 'none';
}

/** The value of every code: 65,536 entries for 16 bits, 256 for 8. */
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
