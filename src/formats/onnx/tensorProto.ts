import { MAX_DIMENSIONS, MAX_ONNX_TEXT } from '../../bytes/limits.ts';
import type { Field, Wire } from './wire.ts';

/** A tensor as its message describes it, without its values. */
export interface TensorProto {
  readonly name: string;
  readonly shape: readonly number[];
  /** onnx.TensorProto.DataType. */
  readonly type: number;
  /**
   * Where the values are: in the message (little-endian bytes, or lists of varints or fixed-size numbers), in another
   * file, or nowhere.
   */
  readonly values:
    | ListedValues
    | { readonly kind: 'external'; readonly entries: ReadonlyMap<string, string> }
    | { readonly kind: 'none' };
}

/** Values in fields of the message itself: all in one field, or spread over many, down to one value per field. */
export interface ListedValues {
  readonly kind: ValueKind;
  /** The first field. */
  readonly first: Pick<Field, 'wire' | 'start' | 'end'>;
  /** The number of fields. */
  readonly count: number;
  /** The total size of the fields. */
  readonly bytes: number;
  /** The message that contains the fields. */
  readonly message: Pick<Field, 'start' | 'end'>;
}

export type ValueKind = 'raw' | 'floats' | 'doubles' | 'varints';

/**
 * The fields of a TensorProto that hold values. If a message has several kinds, the first of them in this order counts.
 */
export const VALUE_FIELDS: ReadonlyMap<number, ValueKind> = new Map([
  [9, 'raw'],
  [4, 'floats'],
  [10, 'doubles'],
  [5, 'varints'],
  [7, 'varints'],
  [11, 'varints'],
]);

/** Reads a TensorProto (onnx.proto3) in [start, end). */
export async function readTensorProto(wire: Wire, start: number, end: number): Promise<TensorProto> {
  const shape: number[] = [];
  const listed = new Map<ValueKind, { first: Field; count: number; bytes: number }>();
  const entries = new Map<string, string>();
  let [name, type, external] = ['', 0, false];
  const add = (kind: ValueKind, field: Field) => {
    const known = listed.get(kind);
    // An unpacked varint has no length prefix; it takes at most ten bytes.
    const bytes = field.wire === 0 ? 10 : field.end - field.start;
    if (!known) listed.set(kind, { first: field, count: 1, bytes });
    else {
      known.count++;
      known.bytes += bytes;
    }
  };
  const addDimension = (value: bigint) => {
    const size = BigInt.asIntN(64, value);
    if (size < 0n || size > BigInt(Number.MAX_SAFE_INTEGER))
      throw wire.malformed(`the tensor ${JSON.stringify(name)} has the size ${size}`);
    if (shape.push(Number(size)) > MAX_DIMENSIONS)
      throw wire.malformed(`a tensor has more than ${MAX_DIMENSIONS} dimensions`);
  };
  const entryOf = async (field: Field) => {
    let [key, value] = ['', ''];
    await wire.fields(field.start, field.end, async (entry) => {
      if (entry.number === 1) key = await wire.text(entry, MAX_ONNX_TEXT);
      if (entry.number === 2) value = await wire.text(entry, MAX_ONNX_TEXT);
    });
    wire.allowance.spend(200 + 2 * (key.length + value.length));
    entries.set(key, value);
  };
  await wire.fields(start, end, (field) => {
    const kind = VALUE_FIELDS.get(field.number);
    if (kind) return add(kind, field);
    if (field.number === 1 && field.wire === 0) return addDimension(field.value);
    if (field.number === 1)
      return wire.bytes(field, 10 * MAX_DIMENSIONS).then((bytes) => varints(bytes).forEach(addDimension));
    if (field.number === 2) type = Number(field.value);
    else if (field.number === 8)
      return wire.text(field, MAX_ONNX_TEXT).then((text) => {
        name = text;
      });
    else if (field.number === 13) return entryOf(field);
    else if (field.number === 14) external = field.value === 1n;
  });
  wire.allowance.spendTensor(2 * name.length + 100, shape.length);
  if (external) return { name, shape, type, values: { kind: 'external', entries } };
  for (const kind of VALUE_FIELDS.values()) {
    const values = listed.get(kind);
    if (values) return { name, shape, type, values: { kind, ...values, message: { start, end } } };
  }
  return { name, shape, type, values: { kind: 'none' } };
}

/** Decodes packed varints; one that is cut off is left out. */
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
