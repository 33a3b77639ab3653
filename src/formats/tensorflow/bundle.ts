import { RankscopeError } from '../../base/errors.ts';
import { MAX_DIMENSIONS, MAX_ENTRY_FIELDS, MAX_SHARDS } from '../../bytes/limits.ts';
import { Varints } from './sstable.ts';

/** One tensor of a bundle (tensorflow/core/protobuf/tensor_bundle.proto). */
export interface BundleEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly shard: number;
  readonly offset: number;
  readonly size: number;
}

export interface Bundle {
  readonly shards: number;
  readonly bigEndian: boolean;
  readonly entries: readonly BundleEntry[];
  /** Names of partitioned variables, whose parts are not joined. */
  readonly sliced: readonly string[];
}

/** The safetensors name of each tensorflow.DataType. */
const DTYPES: Readonly<Record<number, string>> = {
  1: 'F32',
  2: 'F64',
  3: 'I32',
  4: 'U8',
  5: 'I16',
  6: 'I8',
  7: 'STRING',
  8: 'C64',
  9: 'I64',
  10: 'BOOL',
  14: 'BF16',
  17: 'U16',
  18: 'C128',
  19: 'F16',
  20: 'RESOURCE',
  21: 'VARIANT',
  22: 'U32',
  23: 'U64',
  24: 'F8_E5M2',
  25: 'F8_E4M3',
};

type Fields = Map<number, (number | Uint8Array)[]>;

/** Parses the table of an index file: a header under the empty name, then one entry for each tensor. */
export function parseBundle(file: string, table: ReadonlyMap<string, Uint8Array>): Bundle {
  const malformed = (found: string) =>
    new RankscopeError('malformed', file, found, 'It is damaged: copy or download it again');
  const header = table.get('');
  if (!header) throw malformed('its table has no header');
  const fields = fieldsOf(header, malformed);
  const shards = numberOf(fields, 1, 1);
  if (shards < 1 || shards > MAX_SHARDS) throw malformed(`it names ${shards} shards`);
  const entries: BundleEntry[] = [];
  const sliced: string[] = [];
  for (const [name, value] of table) {
    if (name === '') continue;
    const entry = fieldsOf(value, malformed);
    if (entry.has(7)) {
      sliced.push(name);
      continue;
    }
    const code = numberOf(entry, 1, 0);
    const shape = shapeOf(entry.get(2)?.at(-1), malformed);
    const shard = numberOf(entry, 3, 0);
    if (shard >= shards) throw malformed(`tensor ${JSON.stringify(name)} is in shard ${shard} of ${shards}`);
    entries.push({
      name,
      dtype: DTYPES[code] ?? `DT_${code}`,
      shape,
      shard,
      offset: numberOf(entry, 4, 0),
      size: numberOf(entry, 5, 0),
    });
  }
  return { shards, bigEndian: numberOf(fields, 2, 0) === 1, entries, sliced };
}

function shapeOf(message: number | Uint8Array | undefined, malformed: (found: string) => RankscopeError): number[] {
  if (!(message instanceof Uint8Array)) return [];
  const dimensions = fieldsOf(message, malformed).get(2) ?? [];
  if (dimensions.length > MAX_DIMENSIONS) throw malformed(`a tensor has ${dimensions.length} dimensions`);
  return dimensions.map((dimension) =>
    dimension instanceof Uint8Array ? numberOf(fieldsOf(dimension, malformed), 1, 0) : 0,
  );
}

function numberOf(fields: Fields, field: number, fallback: number): number {
  const value = fields.get(field)?.at(-1);
  return typeof value === 'number' ? value : fallback;
}

/** The values of each field of a small protobuf message. */
function fieldsOf(bytes: Uint8Array, malformed: (found: string) => RankscopeError): Fields {
  const fields: Fields = new Map();
  const numbers = new Varints(bytes, malformed);
  for (let count = 0; numbers.at < bytes.length; count++) {
    if (count === MAX_ENTRY_FIELDS) throw malformed(`an entry has more than ${MAX_ENTRY_FIELDS} fields`);
    const tag = numbers.next();
    const wire = tag % 8;
    let value: number | Uint8Array = 0;
    if (wire === 0) value = numbers.next();
    else {
      const length = wire === 2 ? numbers.next() : wire === 1 ? 8 : wire === 5 ? 4 : Number.NaN;
      if (!(numbers.at + length <= bytes.length)) throw malformed('a field ends beyond its message');
      value = bytes.subarray(numbers.at, numbers.at + length);
      numbers.at += length;
    }
    const number = Math.floor(tag / 8);
    const known = fields.get(number);
    if (known) known.push(value);
    else fields.set(number, [value]);
  }
  return fields;
}
