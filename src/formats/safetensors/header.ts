import { isUtf8 } from 'node:buffer';
import { RankscopeError } from '../../base/errors.ts';
import type { Allowance } from '../../bytes/allowance.ts';
import { storedBytes } from '../../bytes/decode.ts';
import { JsonCursor, JsonFault } from '../../bytes/jsonCursor.ts';
import { MAX_DIMENSIONS, MAX_TENSORS } from '../../bytes/limits.ts';

export interface HeaderEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Bytes [begin, end) after the header. */
  readonly begin: number;
  readonly end: number;
}

export interface Header {
  readonly entries: readonly HeaderEntry[];
  readonly metadata: ReadonlyMap<string, string>;
  /** Names that are listed more than once. The last entry counts, as in the reference reader. */
  readonly duplicates: readonly string[];
}

/**
 * Parses a header and checks it against the `dataBytes` that follow it, by the rules of the reference reader: each
 * tensor's range has the size that its shape and dtype need, and the ranges cover the data exactly, without gaps or
 * overlaps.
 * @throws RankscopeError 'malformed', 'too-large', or 'unsupported' for an unknown dtype.
 */
export function parseHeader(file: string, bytes: Buffer, dataBytes: number, allowance: Allowance): Header {
  if (!isUtf8(bytes)) throw malformed(file, 'the header is not valid UTF-8');
  try {
    const header = readHeader(file, new JsonCursor(bytes, (memory) => allowance.spend(memory)), allowance);
    checkCoverage(file, header.entries, dataBytes);
    return header;
  } catch (error) {
    throw error instanceof JsonFault ? malformed(file, error.message) : error;
  }
}

function readHeader(file: string, json: JsonCursor, allowance: Allowance): Header {
  const entries = new Map<string, HeaderEntry>();
  const duplicates: string[] = [];
  let metadata: Map<string, string> | undefined;
  json.object((name) => {
    if (name === '__metadata__') {
      if (metadata) throw malformed(file, 'the header lists __metadata__ twice');
      metadata = readMetadata(json, allowance);
      return;
    }
    if (entries.has(name)) duplicates.push(name);
    const entry = readEntry(file, name, json);
    allowance.spendTensor(name.length, entry.shape.length);
    entries.set(name, entry);
    if (entries.size > MAX_TENSORS)
      throw new RankscopeError('too-large', file, `the header lists more than ${MAX_TENSORS} tensors`);
  });
  json.end();
  return { entries: [...entries.values()], metadata: metadata ?? new Map(), duplicates };
}

/** Memory of a metadata entry in bytes, apart from its strings. */
const METADATA_BYTES = 120;

function readMetadata(json: JsonCursor, allowance: Allowance): Map<string, string> {
  const metadata = new Map<string, string>();
  json.object((key) => {
    allowance.spend(METADATA_BYTES);
    metadata.set(key, json.string());
  });
  return metadata;
}

function readEntry(file: string, name: string, json: JsonCursor): HeaderEntry {
  const fields: { dtype?: string; shape?: number[]; data_offsets?: number[] } = {};
  json.object((key) => {
    if (key !== 'dtype' && key !== 'shape' && key !== 'data_offsets') return json.skip();
    if (fields[key] !== undefined) throw malformed(file, `tensor ${quote(name)} has two ${key}`);
    if (key === 'dtype') fields.dtype = json.string();
    else fields[key] = readNumbers(json);
    return;
  });
  const { dtype, shape, data_offsets } = fields;
  if (dtype === undefined || shape === undefined || data_offsets === undefined) {
    const missing = dtype === undefined ? 'dtype' : shape === undefined ? 'shape' : 'data_offsets';
    throw malformed(file, `tensor ${quote(name)} has no ${missing}`);
  }
  const [begin, end] = data_offsets;
  if (data_offsets.length !== 2 || begin === undefined || end === undefined)
    throw malformed(file, `tensor ${quote(name)} has ${data_offsets.length} offsets, not two`);
  checkSize(file, { name, dtype, shape, begin, end });
  return { name, dtype, shape, begin, end };
}

function readNumbers(json: JsonCursor): number[] {
  const numbers: number[] = [];
  json.array(() => {
    if (numbers.length === MAX_DIMENSIONS) throw json.fault(`at most ${MAX_DIMENSIONS} numbers`);
    numbers.push(json.naturalNumber());
  });
  return numbers;
}

function checkSize(file: string, { name, dtype, shape, begin, end }: HeaderEntry): void {
  if (end < begin) throw malformed(file, `tensor ${quote(name)} ends (${end}) before it begins (${begin})`);
  const count = elementCount(shape);
  if (!Number.isSafeInteger(count))
    throw malformed(file, `tensor ${quote(name)} of shape [${shape.join(', ')}] has more than 2^53 elements`);
  const bytes = SAFETENSORS_TYPES.has(dtype) ? storedBytes(dtype, count) : undefined;
  if (bytes === undefined)
    throw new RankscopeError(
      'unsupported',
      file,
      `tensor ${quote(name)} has the unknown type ${quote(dtype)}`,
      `The known types are ${[...SAFETENSORS_TYPES].join(', ')}`,
    );
  if (bytes !== end - begin)
    throw malformed(
      file,
      `tensor ${quote(name)}, ${dtype} of shape [${shape.join(', ')}], needs ${bytes} bytes, but its offsets leave ${end - begin}`,
    );
}

/** The product of a shape's sizes; infinite as soon as a partial product exceeds 2^53. */
function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const size of shape) {
    count *= size;
    // The reference reader multiplies in order and fails here even where a later size is zero.
    if (!Number.isSafeInteger(count)) return Number.POSITIVE_INFINITY;
  }
  return count;
}

function checkCoverage(file: string, entries: readonly HeaderEntry[], dataBytes: number): void {
  const sorted = [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const { name, begin, end } of sorted) {
    if (begin !== covered)
      throw malformed(
        file,
        begin > covered
          ? `no tensor contains the bytes ${covered} to ${begin}, before tensor ${quote(name)}`
          : `tensor ${quote(name)} begins at ${begin} and overlaps the one that ends at ${covered}`,
      );
    covered = end;
  }
  if (covered > dataBytes)
    throw malformed(
      file,
      `its tensors need ${covered} bytes, but only ${dataBytes} follow the header`,
      'The file is cut off: copy or download it again',
    );
  if (covered < dataBytes)
    throw malformed(file, `${dataBytes - covered} bytes after the last tensor belong to no tensor`);
}

/** A name for a message: quoted, with control characters escaped, and cut to a readable length. */
function quote(name: string): string {
  return JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}...` : name);
}

function malformed(file: string, found: string, remedy = 'It is damaged: copy or download it again'): RankscopeError {
  return new RankscopeError('malformed', file, found, remedy);
}

const SAFETENSORS_TYPES: ReadonlySet<string> = new Set(
  (
    'F64 F32 F16 BF16 F8_E4M3 F8_E5M2 F8_E4M3FNUZ F8_E5M2FNUZ F8_E8M0 F6_E2M3 F6_E3M2 F4 ' +
    'I64 I32 I16 I8 U64 U32 U16 U8 BOOL C64'
  ).split(' '),
);
