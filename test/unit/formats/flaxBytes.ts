/** Nested maps whose leaves are arrays, booleans and small numbers. */
export type FlaxTree = { readonly [key: string]: FlaxTree | FlaxArray | true | number };
export interface FlaxArray {
  readonly shape: readonly number[];
  readonly type: string;
  readonly data: ArrayBufferView;
}

export const SAMPLE: FlaxTree = {
  params: {
    dense: {
      kernel: { shape: [2, 3], type: 'float32', data: new Float32Array([1, 2, 3, 4, 5, 6]) },
      bias: { shape: [1], type: 'bfloat16', data: new Uint16Array([0x3f00]) },
    },
    scale: { shape: [2], type: 'float16', data: new Uint16Array([0x3c00, 0xc000]) },
  },
};

/** The bytes that flax.serialization.to_bytes writes for `tree`. */
export function flaxBytes(tree: FlaxTree[string]): Buffer {
  if (typeof tree === 'number') return Buffer.from([tree]);
  if (tree === true) return Buffer.from([0xc3]);
  if (isArray(tree)) return arrayBytes(tree);
  const entries = Object.entries(tree);
  return Buffer.concat([
    Buffer.from([0x80 | entries.length]),
    ...entries.flatMap(([key, value]) => [text(key), flaxBytes(value)]),
  ]);
}

function isArray(tree: FlaxTree | FlaxArray): tree is FlaxArray {
  return ArrayBuffer.isView(tree.data);
}

function arrayBytes({ shape, type, data }: FlaxArray): Buffer {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const content = Buffer.concat([
    Buffer.from([0x93, 0x90 | shape.length, ...shape]),
    text(type),
    Buffer.from([0xc4, raw.length]),
    raw,
  ]);
  return Buffer.concat([Buffer.from([0xc7, content.length, 1]), content]);
}

function text(value: string): Buffer {
  return Buffer.concat([Buffer.from([0xa0 | value.length]), Buffer.from(value)]);
}

/** A chunked array, as flax writes arrays above 2^30 bytes. */
export function chunked(shape: readonly number[], type: string, ...pieces: ArrayBufferView[]): FlaxTree {
  const chunks = pieces.map((data) => ({ shape: [(data as Float32Array).length], type, data }));
  return {
    __msgpack_chunked_array__: true,
    shape: Object.fromEntries(shape.map((size, i) => [i, size])),
    chunks: Object.fromEntries(chunks.map((chunk, i) => [i, chunk])),
  };
}
