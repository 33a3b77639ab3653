/** A GGUF file built by hand, so that any byte of it can be corrupted. */
export interface GgufParts {
  readonly version?: number;
  readonly metadata?: readonly (readonly [key: string, type: number, value: Uint8Array])[];
  readonly tensors: readonly {
    name: string;
    dimensions: readonly number[];
    type: number;
    data: Uint8Array;
    offset?: number;
  }[];
  readonly alignment?: number;
}

export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

export const u64 = (value: number | bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};

export const text = (value: string): Buffer => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);

export const f32s = (...values: number[]): Buffer => Buffer.from(Float32Array.from(values).buffer);

export function ggufBytes({ version = 3, metadata = [], tensors, alignment = 32 }: GgufParts): Buffer {
  const pad = (bytes: Buffer) =>
    Buffer.concat([bytes, Buffer.alloc((alignment - (bytes.length % alignment)) % alignment)]);
  let at = 0;
  const directory = tensors.map(({ name, dimensions, type, data, offset }) => {
    const entry = Buffer.concat([
      text(name),
      u32(dimensions.length),
      ...dimensions.map(u64),
      u32(type),
      u64(offset ?? at),
    ]);
    at += pad(Buffer.from(data)).length;
    return entry;
  });
  const header = Buffer.concat([
    Buffer.from('GGUF'),
    u32(version),
    u64(tensors.length),
    u64(metadata.length),
    ...metadata.flatMap(([key, type, value]) => [text(key), u32(type), value]),
    ...directory,
  ]);
  return Buffer.concat([pad(header), ...tensors.map(({ data }) => pad(Buffer.from(data)))]);
}
