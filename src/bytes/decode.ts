/** Decodes stored numbers to f32. Bytes are little-endian, as are all platforms that this runs on. */

import { decodeFloats, ENCODED_BYTES, type Encoding } from '../base/encoding.ts';
import { RankscopeError } from '../base/errors.ts';
import { numbersIn } from '../base/numbersIn.ts';
import { E2M1, type SmallFloat, smallFloatDecoder, smallFloatTable } from '../base/smallFloats.ts';

/** Fills `out` from `out.length` stored numbers at the start of `bytes`. */
type Decoder = (bytes: Uint8Array, out: Float32Array) => void;

interface NumberType {
  readonly bits: number;
  /** Absent if an element is not one real number (complex types), or if there is no agreed packing. */
  readonly decode?: Decoder;
}

/** Stored size in bytes of `count` numbers; undefined for an unknown type, NaN if they do not fill whole bytes. */
export function storedBytes(dtype: string, count: number): number | undefined {
  const type = TYPES.get(dtype);
  if (!type) return undefined;
  const bits = type.bits * count;
  return bits % 8 === 0 ? bits / 8 : Number.NaN;
}

/** Bits of one stored number; undefined for an unknown type. */
export function bitsOf(dtype: string): number | undefined {
  return TYPES.get(dtype)?.bits;
}

/**
 * Decodes `out.length` numbers of `dtype` from the start of `bytes`. Values beyond f32 become infinity.
 * @throws RankscopeError 'unsupported' for a type without a number per element.
 */
export function decode(dtype: string, bytes: Uint8Array, out: Float32Array): void {
  decoderOf(dtype)(bytes, out);
}

/** @throws RankscopeError 'unsupported' */
export function decoderOf(dtype: string): Decoder {
  const decoder = TYPES.get(dtype)?.decode;
  if (decoder) return decoder;
  // OCP MX does not specify how they are packed into bytes, and no library writes them.
  const found = /^F6_/.test(dtype)
    ? 'there is no agreed way to pack 6-bit floats into bytes'
    : 'values of this type cannot be shown as real numbers';
  throw new RankscopeError('unsupported', dtype, found);
}

/** Reverses the bytes of each `size`-byte number in place. */
export function swapByteOrder(bytes: Uint8Array, size: number): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (size === 2) buffer.swap16();
  else if (size === 4) buffer.swap32();
  else if (size === 8) buffer.swap64();
}

type NumberArray = new (buffer: ArrayBufferLike, offset: number, length: number) => ArrayLike<number>;

function plain(Numbers: NumberArray, size: number): NumberType {
  const decode: Decoder = (bytes, out) => out.set(numbersIn(Numbers, size, bytes, out.length));
  return { bits: size * 8, decode };
}

function wide(High: NumberArray): NumberType {
  const decode: Decoder = (bytes, out) => {
    const low = numbersIn(Uint32Array, 4, bytes, out.length * 2);
    const top = numbersIn(High, 4, bytes, out.length * 2);
    for (let i = 0; i < out.length; i++) out[i] = top[2 * i + 1]! * 4294967296 + low[2 * i]!;
  };
  return { bits: 64, decode };
}

function encoded(encoding: Encoding): NumberType {
  return { bits: ENCODED_BYTES[encoding] * 8, decode: (bytes, out) => decodeFloats(encoding, bytes, out) };
}

function small(float: SmallFloat): NumberType {
  return { bits: 1 + float.exponentBits + float.mantissaBits, decode: smallFloatDecoder(float) };
}

function decodeBool(bytes: Uint8Array, out: Float32Array): void {
  for (let i = 0; i < out.length; i++) out[i] = bytes[i] === 0 ? 0 : 1;
}

/** Two values per byte, the low half first (torch.float4_e2m1fn_x2). */
function decodeF4(bytes: Uint8Array, out: Float32Array): void {
  const values = smallFloatTable(E2M1);
  for (let i = 0; i < out.length; i++) out[i] = values[i % 2 === 0 ? bytes[i >> 1]! & 15 : bytes[i >> 1]! >> 4]!;
}

/** Whole numbers of 2 or 4 bits, several in a byte, the first in the lowest bits (onnx.TensorProto). */
function tiny(bits: 2 | 4, signed: boolean): NumberType {
  const [perByte, mask, half] = [8 / bits, (1 << bits) - 1, 1 << (bits - 1)];
  const decode: Decoder = (bytes, out) => {
    for (let i = 0; i < out.length; i++) {
      const code = (bytes[Math.floor(i / perByte)]! >> ((i % perByte) * bits)) & mask;
      out[i] = signed && code >= half ? code - 2 * half : code;
    }
  };
  return { bits, decode };
}

/** A power of two without sign or mantissa; 255 is NaN (OCP MX specification). */
function decodeE8m0(bytes: Uint8Array, out: Float32Array): void {
  for (let i = 0; i < out.length; i++) out[i] = bytes[i] === 255 ? Number.NaN : 2 ** (bytes[i]! - 127);
}

/** By the type names of safetensors. */
const TYPES: ReadonlyMap<string, NumberType> = new Map<string, NumberType>([
  ['F64', plain(Float64Array, 8)],
  ['F32', encoded('F32')],
  ['F16', encoded('F16')],
  ['BF16', encoded('BF16')],
  ['F8_E4M3', encoded('F8_E4M3')],
  ['F8_E5M2', encoded('F8_E5M2')],
  ['F8_E4M3FNUZ', small({ exponentBits: 4, mantissaBits: 3, bias: 8, special: 'nan-at-minus-zero' })],
  ['F8_E5M2FNUZ', small({ exponentBits: 5, mantissaBits: 2, bias: 16, special: 'nan-at-minus-zero' })],
  ['F8_E8M0', { bits: 8, decode: decodeE8m0 }],
  ['F6_E2M3', { bits: 6 }],
  ['F6_E3M2', { bits: 6 }],
  ['F4', { bits: 4, decode: decodeF4 }],
  ['I64', wide(Int32Array)],
  ['U64', wide(Uint32Array)],
  ['I32', plain(Int32Array, 4)],
  ['U32', plain(Uint32Array, 4)],
  ['I16', plain(Int16Array, 2)],
  ['U16', plain(Uint16Array, 2)],
  ['I8', plain(Int8Array, 1)],
  ['U8', plain(Uint8Array, 1)],
  ['I4', tiny(4, true)],
  ['U4', tiny(4, false)],
  ['I2', tiny(2, true)],
  ['U2', tiny(2, false)],
  ['BOOL', { bits: 8, decode: decodeBool }],
  ['C64', { bits: 64 }],
  ['C128', { bits: 128 }],
]);
