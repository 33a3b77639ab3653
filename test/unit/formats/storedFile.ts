import { safetensorsBytes } from './safetensorsBytes.ts';

export interface Stored {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: ArrayBufferView;
}

/** A safetensors file with these tensors. */
export function fileOf(tensors: Readonly<Record<string, Stored>>, metadata?: Readonly<Record<string, string>>): Buffer {
  const header: Record<string, unknown> = metadata ? { __metadata__: metadata } : {};
  const pieces: Uint8Array[] = [];
  let at = 0;
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [at, at + data.byteLength] };
    at += data.byteLength;
    pieces.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return safetensorsBytes(header, Buffer.concat(pieces));
}

export const f32 = (shape: readonly number[], values: readonly number[]): Stored => ({
  dtype: 'F32',
  shape,
  data: new Float32Array(values),
});
export const u8 = (shape: readonly number[], values: readonly number[]): Stored => ({
  dtype: 'U8',
  shape,
  data: new Uint8Array(values),
});
/** Packs codes into 32-bit words, from the lowest bits up; a code may continue in the next word. */
export function words(codes: readonly number[], bits: number): Uint32Array {
  const out = new Uint32Array(Math.ceil((codes.length * bits) / 32));
  for (const [i, code] of codes.entries())
    for (let bit = 0; bit < bits; bit++) {
      const at = i * bits + bit;
      out[at >> 5] = (out[at >> 5]! | (((code >> bit) & 1) << (at & 31))) >>> 0;
    }
  return out;
}
