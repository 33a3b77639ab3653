import { numbersIn } from './numbersIn.ts';
import { bitsOfFloats, E4M3, lastCode, smallFloatDecoder } from './smallFloats.ts';

/**
 * The float types that devices decode themselves from the little-endian bytes of a checkpoint, by their safetensors
 * names. As in safetensors and torch, E4M3 is the variant without infinities ("fn").
 */
export type Encoding = 'F32' | 'BF16' | 'F16' | 'F8_E4M3' | 'F8_E5M2';

/** Bytes per number. */
export const ENCODED_BYTES: Readonly<Record<Encoding, 1 | 2 | 4>> = {
  F32: 4,
  BF16: 2,
  F16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
};

/** Returns undefined for a stored type that must be decoded before it goes to a device. */
export function encodingOf(dtype: string): Encoding | undefined {
  return Object.hasOwn(ENCODED_BYTES, dtype) ? (dtype as Encoding) : undefined;
}

/** Decodes the first `out.length` numbers of `bytes`. The kernels of every device must agree with it bit for bit. */
export function decodeFloats(encoding: Encoding, bytes: Uint8Array, out: Float32Array): void {
  DECODERS[encoding](bytes, out);
}

const DECODERS: Readonly<Record<Encoding, (bytes: Uint8Array, out: Float32Array) => void>> = {
  F32: (bytes, out) => out.set(numbersIn(Float32Array, 4, bytes, out.length)),
  BF16: decodeBf16,
  F16: smallFloatDecoder({ exponentBits: 5, mantissaBits: 10, bias: 15, special: 'ieee' }),
  F8_E4M3: smallFloatDecoder(E4M3),
  F8_E5M2: smallFloatDecoder({ exponentBits: 5, mantissaBits: 2, bias: 15, special: 'ieee' }),
};

function decodeBf16(bytes: Uint8Array, out: Float32Array): void {
  const bits = bitsOfFloats(out);
  const pairs = numbersIn(Uint32Array, 4, bytes, bits.length >> 1);
  for (let i = 0; i < pairs.length; i++) {
    const pair = pairs[i]!;
    bits[2 * i] = pair << 16;
    bits[2 * i + 1] = pair & 0xffff0000;
  }
  if (bits.length % 2 === 1) bits[bits.length - 1] = lastCode(bytes, bits.length) << 16;
}
