/** Types of written factors: those in which matrix products can be computed. */
export type FactorType = 'F64' | 'F32' | 'F16' | 'BF16';

export const FACTOR_BYTES: Readonly<Record<FactorType, number>> = { F64: 8, F32: 4, F16: 2, BF16: 2 };

/**
 * The type of a matrix's factors: its own if it is one of the four; BF16 for 8-bit floats, whose precision or range is
 * too small for factors; F16 for the block-quantized types of ggml.
 */
export function factorType(dtype: string): FactorType {
  if (dtype === 'F64' || dtype === 'F32' || dtype === 'F16' || dtype === 'BF16') return dtype;
  return dtype.startsWith('F8') ? 'BF16' : 'F16';
}

/** Little-endian bytes of `values` in `dtype`, rounded to nearest, ties to even. */
export function encode(values: ArrayLike<number>, dtype: FactorType): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(values.length * FACTOR_BYTES[dtype]);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (dtype === 'F64') view.setFloat64(8 * i, value, true);
    else if (dtype === 'F32') view.setFloat32(4 * i, value, true);
    else view.setUint16(2 * i, dtype === 'BF16' ? bfloat16Bits(value) : halfBits(value), true);
  }
  return bytes;
}

/** `values` after `encode` and decoding, in f32. */
export function rounded(values: ArrayLike<number>, dtype: FactorType): Float32Array {
  const out = Float32Array.from(values);
  if (dtype === 'BF16') for (let i = 0; i < out.length; i++) out[i] = fromBfloat16(bfloat16Bits(out[i]!));
  if (dtype === 'F16') for (let i = 0; i < out.length; i++) out[i] = fromHalf(halfBits(out[i]!));
  return out;
}

const scratch = new DataView(new ArrayBuffer(4));

function bits(value: number): number {
  scratch.setFloat32(0, value);
  return scratch.getUint32(0);
}

function bfloat16Bits(value: number): number {
  const word = bits(value);
  if (Number.isNaN(value)) return 0x7fc0;
  return ((word + 0x7fff + ((word >>> 16) & 1)) >>> 16) & 0xffff;
}

function fromBfloat16(code: number): number {
  scratch.setUint32(0, code * 0x10000);
  return scratch.getFloat32(0);
}

function halfBits(value: number): number {
  const word = bits(value);
  const sign = (word >>> 16) & 0x8000;
  const magnitude = Math.abs(Math.fround(value));
  if (Number.isNaN(value)) return 0x7e00;
  // Half way between the largest half and the next power of two rounds up, to infinity.
  if (magnitude >= 65520) return sign | 0x7c00;
  if (magnitude < 2 ** -14) return sign | roundToEven(magnitude * 2 ** 24);
  const exponent = ((word >>> 23) & 0xff) - 127;
  // A mantissa that rounds up to 2 carries into the exponent by itself.
  return sign | (((exponent + 15) << 10) + roundToEven((magnitude / 2 ** exponent - 1) * 1024));
}

function fromHalf(code: number): number {
  const sign = code & 0x8000 ? -1 : 1;
  const exponent = (code >> 10) & 31;
  const mantissa = code & 1023;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1 + mantissa / 1024) * 2 ** (exponent - 15));
}

function roundToEven(value: number): number {
  const low = Math.floor(value);
  const rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low;
}
