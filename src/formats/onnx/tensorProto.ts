import type { Field, Wire } from './wire.ts';

/** A tensor as its message describes it; no value has been read. */
export interface TensorProto {
  readonly name: string;
  readonly shape: readonly number[];
  /** onnx.TensorProto.DataType. */
  readonly type: number;
  /** Where the values are: little-endian bytes, a list of varints or of fixed numbers, another file, or nowhere. */
  readonly values:
    | { readonly kind: 'raw' | 'floats' | 'doubles' | 'varints'; readonly pieces: readonly Field[] }
    | { readonly kind: 'external'; readonly entries: ReadonlyMap<string, string> }
    | { readonly kind: 'none' };
}

const MAX_NAME = 65_536;
const MAX_DIMENSIONS_SEEN = 64;

/** Reads a TensorProto (onnx.proto3) in [start, end). */
export async function readTensorProto(wire: Wire, start: number, end: number): Promise<TensorProto> {
  const shape: number[] = [];
  const pieces: Partial<Record<'raw' | 'floats' | 'doubles' | 'varints', Field[]>> = {};
  const entries = new Map<string, string>();
  let [name, type, external] = ['', 0, false];
  const add = (kind: 'raw' | 'floats' | 'doubles' | 'varints', field: Field) => {
    pieces[kind] ??= [];
    pieces[kind].push(field);
  };
  const addDimension = (value: bigint) => {
    const size = BigInt.asIntN(64, value);
    if (size < 0n || size > BigInt(Number.MAX_SAFE_INTEGER))
      throw wire.malformed(`the tensor ${JSON.stringify(name)} has the size ${size}`);
    if (shape.push(Number(size)) > MAX_DIMENSIONS_SEEN)
      throw wire.malformed(`a tensor has more than ${MAX_DIMENSIONS_SEEN} dimensions`);
  };
  await wire.fields(start, end, async (field) => {
    switch (field.number) {
      case 1:
        if (field.wire === 0) addDimension(field.value);
        else for (const value of varints(await wire.bytes(field, 10 * MAX_DIMENSIONS_SEEN))) addDimension(value);
        return;
      case 2:
        type = Number(field.value);
        return;
      case 4:
        return add('floats', field);
      case 5:
      case 7:
      case 11:
        return add('varints', field);
      case 8:
        name = await wire.text(field, MAX_NAME);
        return;
      case 9:
        return add('raw', field);
      case 10:
        return add('doubles', field);
      case 13: {
        let [key, value] = ['', ''];
        await wire.fields(field.start, field.end, async (entry) => {
          if (entry.number === 1) key = await wire.text(entry, MAX_NAME);
          if (entry.number === 2) value = await wire.text(entry, MAX_NAME);
        });
        entries.set(key, value);
        return;
      }
      case 14:
        external = field.value === 1n;
        return;
    }
  });
  const kind = (['raw', 'floats', 'doubles', 'varints'] as const).find((each) => pieces[each]);
  if (external) return { name, shape, type, values: { kind: 'external', entries } };
  return { name, shape, type, values: kind ? { kind, pieces: pieces[kind]! } : { kind: 'none' } };
}

/** The varints that follow each other in `bytes`; one that is cut off is left out. */
export function varints(bytes: Uint8Array): bigint[] {
  const values: bigint[] = [];
  let [value, shift] = [0n, 0n];
  for (const byte of bytes) {
    value |= BigInt(byte & 127) << shift;
    shift += 7n;
    if (byte >= 128 && shift < 70n) continue;
    values.push(BigInt.asUintN(64, value));
    [value, shift] = [0n, 0n];
  }
  return values;
}
