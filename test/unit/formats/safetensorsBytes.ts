/** A safetensors file with this header (an object, or JSON text used as it is) and these bytes of tensors. */
export function safetensorsBytes(header: unknown, data: Uint8Array = new Uint8Array(0)): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, data]);
}

export interface Values {
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

/** A safetensors file of F32 tensors. */
export function f32File(tensors: Readonly<Record<string, Values>>, metadata?: Record<string, string>): Buffer {
  const header: [string, unknown][] = metadata ? [['__metadata__', metadata]] : [];
  let at = 0;
  for (const [name, { shape, values }] of Object.entries(tensors)) {
    header.push([name, { dtype: 'F32', shape, data_offsets: [at, at + values.length * 4] }]);
    at += values.length * 4;
  }
  const data = new Float32Array(Object.values(tensors).flatMap((tensor) => [...tensor.values]));
  return safetensorsBytes(Object.fromEntries(header), new Uint8Array(data.buffer));
}
