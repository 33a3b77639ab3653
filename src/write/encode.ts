import { bitsOfFloats } from '../base/smallFloats.ts';

/** Types of written factors: those in which matrix products can be computed. */
export type FactorType = 'F64' | 'F32' | 'F16' | 'BF16';

export const FACTOR_BYTES: Readonly<Record<FactorType, number>> = { F64: 8, F32: 4, F16: 2, BF16: 2 };

export function isFactorType(dtype: string): dtype is FactorType {
  return Object.hasOwn(FACTOR_BYTES, dtype);
}

/**
 * The type in which values of `dtype` are written, unless another is asked for: their own if it is one of the four;
 * BF16 for 8-bit floats, whose precision or range is too small for factors, and for quantized values, which have no
 * more bits.
 */
export function factorType(dtype: string): FactorType {
  return isFactorType(dtype) ? dtype : 'BF16';
}

/** Little-endian bytes of `values` in `dtype`, rounded to nearest, ties to even. */
export function encode(values: ArrayLike<number>, dtype: FactorType): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(values.length * FACTOR_BYTES[dtype]);
  const view = new DataView(bytes.buffer);
  if (dtype === 'F64') {
    for (let i = 0; i < values.length; i++) view.setFloat64(8 * i, values[i]!, true);
    return bytes;
  }
  const exact = rounded(values, dtype);
  if (dtype === 'F32') {
    for (let i = 0; i < exact.length; i++) view.setFloat32(4 * i, exact[i]!, true);
    return bytes;
  }
  const codeOf = dtype === 'BF16' ? (bits: number) => bits >>> 16 : halfOf;
  const bits = bitsOfFloats(exact);
  for (let i = 0; i < bits.length; i++) view.setUint16(2 * i, codeOf(bits[i]!), true);
  return bytes;
}

/** `values` after `encode` and decoding, in f32; every NaN becomes the quiet one. */
export function rounded(values: ArrayLike<number>, dtype: FactorType): Float32Array {
  return roundInPlace(Float32Array.from(values), dtype);
}

/** The same in the place of the values. */
export function roundInPlace(values: Float32Array, dtype: FactorType): Float32Array {
  if (dtype === 'BF16') roundToBfloat16(bitsOfFloats(values));
  if (dtype === 'F16') roundToHalf(values, bitsOfFloats(values));
  return values;
}

// Rounding works on the bits of f32 numbers: the sum with just under half a step and the last bit that stays carries
// wherever the next number of the shorter mantissa is nearer, or is even at a tie.

const MAGNITUDE = 0x7fffffff;
const INFINITE = 0x7f800000;
const QUIET = 0x7fc00000;

function roundToBfloat16(bits: Int32Array): void {
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i]!;
    bits[i] = (word & MAGNITUDE) > INFINITE ? QUIET : (word + 0x7fff + ((word >>> 16) & 1)) & 0xffff0000;
  }
}

/** Bits of the smallest normal half, 2^-14, and of 65,520, half way from the largest half to the next power of two. */
const [SMALLEST_HALF, PAST_HALF] = [0x38800000, 0x477ff000];
/** Adding and subtracting it in f64 rounds to multiples of 2^-24, the step of halves that are not normal. */
const TO_STEPS = 1.5 * 2 ** 28;

function roundToHalf(values: Float32Array, bits: Int32Array): void {
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i]!;
    const magnitude = word & MAGNITUDE;
    if (magnitude < SMALLEST_HALF) {
      values[i] = values[i]! + TO_STEPS - TO_STEPS;
      // The sum of zeros is positive.
      bits[i]! |= word & ~MAGNITUDE;
    } else if (magnitude < PAST_HALF) bits[i] = (word + 0xfff + ((word >>> 13) & 1)) & 0xffffe000;
    else bits[i] = magnitude > INFINITE ? QUIET : (word & ~MAGNITUDE) | INFINITE;
  }
}

/** The code of a half, from its bits as an f32. */
function halfOf(word: number): number {
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & MAGNITUDE;
  if (magnitude >= INFINITE) return sign | (magnitude > INFINITE ? 0x7e00 : 0x7c00);
  if (magnitude >= SMALLEST_HALF) return sign | ((magnitude - SMALLEST_HALF + 0x800000) >>> 13);
  // Not normal: as many steps as the number with its leading one has, shifted by what the exponent lacks.
  const exponent = magnitude >>> 23;
  return exponent === 0 ? sign : sign | (((magnitude & 0x7fffff) | 0x800000) >>> (126 - exponent));
}
