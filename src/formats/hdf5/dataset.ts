import { MAX_DIMENSIONS } from '../limits.ts';
import type { Piece } from './bytes.ts';
import type { FoundObject } from './groups.ts';

export interface Dataset {
  readonly path: string;
  readonly shape: readonly number[];
  readonly type: NumberType;
  readonly layout: Layout;
  readonly filters: readonly Filter[];
}

export interface NumberType {
  /** By the names of safetensors; STRING, COMPOUND ... where it is no number. */
  readonly dtype: string;
  readonly bytes: number;
  readonly bigEndian: boolean;
}

export type Layout =
  | {
      readonly kind: 'contiguous' /** Absent while nothing was written: all zeros. */;
      readonly address: number | undefined;
    }
  | { readonly kind: 'compact'; readonly data: Uint8Array }
  | { readonly kind: 'chunked'; readonly tree: number | undefined; readonly chunk: readonly number[] };

export interface Filter {
  /** 1 deflate, 2 shuffle, 3 a checksum behind the data; others are not known. */
  readonly id: number;
  readonly values: readonly number[];
}

const DATASPACE = 0x01;
const DATATYPE = 0x03;
const EXTERNAL_FILES = 0x07;
const LAYOUT = 0x08;
const FILTERS = 0x0b;

/** What an object's messages say of a dataset; undefined where it is none (a named datatype). */
export function datasetOf({ path, messages }: FoundObject): Dataset | undefined {
  const bodies = new Map(messages.map(({ type, body }) => [type, body]));
  const [space, type, layout] = [bodies.get(DATASPACE), bodies.get(DATATYPE), bodies.get(LAYOUT)];
  if (!space || !type || !layout) return undefined;
  if (bodies.has(EXTERNAL_FILES))
    throw space.file.unsupported(
      `dataset ${JSON.stringify(path)} keeps its values in another file, which is not followed`,
    );
  const pipeline = bodies.get(FILTERS);
  return {
    path,
    shape: readShape(space),
    type: readType(type),
    layout: readLayout(layout),
    filters: pipeline ? readFilters(pipeline) : [],
  };
}

function readShape(body: Piece): number[] {
  const version = body.u8();
  const rank = body.u8();
  body.skip(version === 1 ? 6 : 2);
  if (rank > MAX_DIMENSIONS) throw body.file.malformed(`a dataset has ${rank} dimensions`);
  return Array.from({ length: rank }, () => body.length());
}

const FLOATS: Readonly<Record<string, string>> = {
  '2/5/10': 'F16',
  '2/8/7': 'BF16',
  '4/8/23': 'F32',
  '8/11/52': 'F64',
  '1/4/3': 'F8_E4M3',
  '1/5/2': 'F8_E5M2',
};
const OTHERS: Readonly<Record<number, string>> = {
  2: 'TIME',
  3: 'STRING',
  4: 'BITS',
  5: 'OPAQUE',
  6: 'COMPOUND',
  7: 'REFERENCE',
  9: 'STRING',
  10: 'ARRAY',
};

function readType(body: Piece): NumberType {
  const kind = body.u8() & 15;
  const bits = body.sized(3) ?? 0;
  const bytes = body.u32();
  const bigEndian = (bits & 1) !== 0;
  if (kind === 0) return { dtype: `${bits & 8 ? 'I' : 'U'}${8 * bytes}`, bytes, bigEndian };
  if (kind === 1) {
    body.skip(5);
    const exponent = body.u8();
    body.skip(1);
    const mantissa = body.u8();
    return { dtype: FLOATS[`${bytes}/${exponent}/${mantissa}`] ?? `FLOAT${8 * bytes}`, bytes, bigEndian };
  }
  // Booleans are enumerations of one byte.
  if (kind === 8) return { dtype: bytes === 1 ? 'BOOL' : `I${8 * bytes}`, bytes, bigEndian };
  return { dtype: OTHERS[kind] ?? 'OTHER', bytes, bigEndian };
}

function readLayout(body: Piece): Layout {
  const version = body.u8();
  if (version < 3) {
    const rank = body.u8();
    const kind = body.u8();
    body.skip(5);
    const address = kind === 0 ? undefined : body.address();
    const sizes = Array.from({ length: rank }, () => body.u32());
    if (kind === 1) return { kind: 'contiguous', address };
    if (kind === 2) return { kind: 'chunked', tree: address, chunk: sizes.slice(0, -1) };
    return { kind: 'compact', data: compact(body, body.u32()) };
  }
  const kind = body.u8();
  if (kind === 0) return { kind: 'compact', data: compact(body, body.u16()) };
  if (kind === 1) return { kind: 'contiguous', address: body.address() };
  if (version > 3 || kind !== 2)
    throw body.file.unsupported('a dataset is laid out by a newer version of the format than is known here');
  const rank = body.u8();
  const tree = body.address();
  return { kind: 'chunked', tree, chunk: Array.from({ length: Math.max(0, rank - 1) }, () => body.u32()) };
}

const compact = (body: Piece, length: number): Uint8Array => body.bytes.subarray(body.skip(length), body.at);

function readFilters(body: Piece): Filter[] {
  const version = body.u8();
  const count = body.u8();
  if (version === 1) body.skip(6);
  return Array.from({ length: count }, () => {
    const id = body.u16();
    const nameLength = version === 1 || id >= 256 ? body.u16() : 0;
    body.skip(2);
    const values = body.u16();
    body.skip(version === 1 ? Math.ceil(nameLength / 8) * 8 : nameLength);
    const filter = { id, values: Array.from({ length: values }, () => body.u32()) };
    if (version === 1 && values % 2 === 1) body.skip(4);
    return filter;
  });
}
