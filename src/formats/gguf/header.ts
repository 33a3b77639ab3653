import { RankscopeError } from '../../base/errors.ts';
import type { Allowance } from '../../bytes/allowance.ts';
import {
  MAX_GGUF_ALIGNMENT,
  MAX_GGUF_DIMENSIONS,
  MAX_GGUF_ENTRIES,
  MAX_GGUF_NAME,
  MAX_SHOWN_TEXT,
  MAX_TENSORS,
} from '../../bytes/limits.ts';
import { Cursor } from './cursor.ts';
import { GGML_TYPES, type GgmlType } from './types.ts';

export interface GgufTensor {
  readonly name: string;
  /** Rows first, as everywhere else here. GGUF stores the dimensions in reverse order. */
  readonly shape: readonly number[];
  readonly type: GgmlType;
  /** ggml's number of the type. */
  readonly code: number;
  /** Offset in the file, in bytes. */
  readonly offset: number;
  readonly bytes: number;
}

/** Where the items of a list in the metadata are, which the header does not keep: a vocabulary has megabytes. */
export interface GgufList {
  /** GGUF's type number of an item, a scalar or a string. */
  readonly type: number;
  readonly count: number;
  /** Offset of the first item in the file, and the length of all of them, in bytes. */
  readonly offset: number;
  readonly bytes: number;
}

export interface GgufHeader {
  readonly version: number;
  readonly metadata: ReadonlyMap<string, string>;
  readonly lists: ReadonlyMap<string, GgufList>;
  /** Where the metadata are in the file, in bytes, and how many entries they have. */
  readonly pairs: { readonly count: number; readonly offset: number; readonly bytes: number };
  readonly alignment: number;
  readonly tensors: readonly GgufTensor[];
}

const SCALAR_BYTES: Readonly<Record<number, number>> = {
  0: 1,
  1: 1,
  2: 2,
  3: 2,
  4: 4,
  5: 4,
  6: 4,
  7: 1,
  10: 8,
  11: 8,
  12: 8,
};
export const STRING = 8;
const ARRAY = 9;

/**
 * Parses the header of GGUF version 1 to 3 (ggml/docs/gguf.md) from the first `bytes` of a file of `size` bytes.
 * Offsets must follow each other as ggml itself demands.
 * @throws NeedMore when `bytes` end inside the header; RankscopeError 'malformed' or 'unsupported'.
 */
export function parseGgufHeader(file: string, bytes: Uint8Array, size: number, allowance: Allowance): GgufHeader {
  const malformed = (found: string) =>
    new RankscopeError('malformed', file, found, 'It is damaged or cut off: copy or download it again');
  /** Checks that the file has room for `count` things of at least `least` bytes each. */
  const within = (count: number, least: number, what: string): number => {
    if (!(count * least <= size))
      throw malformed(`it announces ${count} ${what}, more than its ${size} bytes can hold`);
    return count;
  };
  const version = new Cursor(bytes.subarray(4), true).u32();
  if (version < 1 || version > 3) {
    const swapped = version > 0xffff;
    const found = swapped
      ? 'it is written in big-endian byte order'
      : `its GGUF version is ${version}; versions 1 to 3 are supported`;
    throw new RankscopeError(
      'unsupported',
      file,
      found,
      swapped ? 'Convert it to little-endian with gguf_convert_endian.py' : '',
    );
  }
  const cursor = new Cursor(bytes, version > 1);
  cursor.skip(8);
  const tensorCount = within(cursor.count(), 24, 'tensors');
  if (tensorCount > MAX_TENSORS)
    throw new RankscopeError('too-large', file, `it has ${tensorCount} tensors; at most ${MAX_TENSORS} are read`);
  const pairCount = within(cursor.count(), 13, 'metadata entries');
  if (pairCount > MAX_GGUF_ENTRIES) throw malformed(`it announces ${pairCount} metadata entries`);

  const name = () => {
    const length = within(cursor.count(), 1, 'bytes of text');
    if (length > MAX_GGUF_NAME) throw malformed(`a name is ${length} bytes long; at most ${MAX_GGUF_NAME} are read`);
    return cursor.text(length);
  };

  const lists = new Map<string, GgufList>();
  const value = (type: number, depth: number, key: string): string => {
    if (type === STRING) {
      const length = within(cursor.count(), 1, 'bytes of text');
      if (length <= MAX_SHOWN_TEXT) return cursor.text(length);
      cursor.skip(length);
      return `(text of ${length} bytes)`;
    }
    if (type !== ARRAY) {
      if (SCALAR_BYTES[type] === undefined) throw malformed(`a metadata value has the unknown type ${type}`);
      return cursor.scalar(type);
    }
    if (depth > 2) throw malformed('metadata arrays are nested deeper than 3');
    const inner = cursor.u32();
    const each = SCALAR_BYTES[inner];
    const count = within(cursor.count(), each ?? 4, 'array elements');
    const offset = cursor.at;
    if (each !== undefined) cursor.skip(count * each);
    else if (inner === STRING) for (let i = 0; i < count; i++) cursor.skip(within(cursor.count(), 1, 'bytes of text'));
    else for (let i = 0; i < count; i++) value(inner, depth + 1, key);
    if (depth === 0 && inner !== ARRAY) lists.set(key, { type: inner, count, offset, bytes: cursor.at - offset });
    return `(${count} values)`;
  };

  const metadata = new Map<string, string>();
  const first = cursor.at;
  for (let i = 0; i < pairCount; i++) {
    const key = name();
    if (metadata.has(key)) throw malformed(`the metadata key ${JSON.stringify(key)} occurs twice`);
    const text = value(cursor.u32(), 0, key);
    allowance.spend(200 + 2 * (key.length + text.length));
    metadata.set(key, text);
  }
  const pairs = { count: pairCount, offset: first, bytes: cursor.at - first };
  const alignment = Number(metadata.get('general.alignment') ?? 32);
  if (
    !Number.isInteger(alignment) ||
    alignment < 1 ||
    alignment > MAX_GGUF_ALIGNMENT ||
    (alignment & (alignment - 1)) !== 0
  )
    throw malformed(
      `its alignment is ${metadata.get('general.alignment')}, not a power of two up to ${MAX_GGUF_ALIGNMENT}`,
    );

  const aligned = (at: number) => Math.ceil(at / alignment) * alignment;
  const names = new Set<string>();
  const directory: (Omit<GgufTensor, 'offset'> & { relative: number })[] = [];
  let expected = 0;
  for (let i = 0; i < tensorCount; i++) {
    const tensor = name();
    const fail = (found: string) => malformed(`tensor ${JSON.stringify(tensor)} ${found}`);
    if (names.has(tensor)) throw fail('is listed twice');
    names.add(tensor);
    allowance.spendTensor(3 * tensor.length, MAX_GGUF_DIMENSIONS);
    const dimensions = cursor.u32();
    if (dimensions > MAX_GGUF_DIMENSIONS)
      throw fail(`has ${dimensions} dimensions; GGUF allows ${MAX_GGUF_DIMENSIONS}`);
    const shape = Array.from({ length: dimensions }, () => cursor.count()).reverse();
    const code = cursor.u32();
    const type = GGML_TYPES.get(code);
    if (type === undefined)
      throw new RankscopeError(
        'unsupported',
        file,
        `tensor ${JSON.stringify(tensor)} has the unknown ggml type ${code}`,
        'Update Rankscope',
      );
    const elements = shape.reduce((product, each) => product * each, 1);
    if ((shape.at(-1) ?? 1) % type.values !== 0)
      throw fail(`has rows of ${shape.at(-1)} values, which blocks of ${type.values} do not fill`);
    const length = (elements / type.values) * type.bytes;
    if (!Number.isSafeInteger(length)) throw fail(`claims the shape ${shape.join(' x ')}`);
    const relative = cursor.u64();
    if (relative !== expected) throw fail(`begins at byte ${relative} of the data, where byte ${expected} is expected`);
    expected = aligned(relative + length);
    if (!(relative + length <= size)) throw fail(`needs ${length} bytes, but the file has ${size}`);
    directory.push({ name: tensor, shape, type, code, bytes: length, relative });
  }
  const data = aligned(cursor.at);
  const tensors = directory.map(({ relative, ...tensor }) => ({ ...tensor, offset: data + relative }));
  const last = tensors.findLast(({ bytes: length }) => length > 0);
  if (last && last.offset + last.bytes > size)
    throw malformed(
      `tensor ${JSON.stringify(last.name)} should end at byte ${last.offset + last.bytes}, but the file ends at ${size}`,
    );
  return { version, metadata, lists, pairs, alignment, tensors };
}
