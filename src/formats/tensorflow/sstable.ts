import { RankscopeError } from '../../base/errors.ts';
import type { Allowance } from '../../bytes/allowance.ts';
import { MAX_TABLE_BLOCK, MAX_TABLE_KEY, MAX_TENSORS } from '../../bytes/limits.ts';
import type { ByteSource } from '../../bytes/source/byteSource.ts';

/** The last eight bytes of the file. */
export const TABLE_MAGIC = 0xdb4775248b80fb57n;
const FOOTER = 48;
/** The bytes after each block: a compression type and a checksum. */
const TRAILER = 5;
/** Memory of an entry in bytes, apart from its name. */
const ENTRY_BYTES = 300;

/**
 * Reads all entries of a sorted string table, in order (LevelDB's table format, which TensorFlow uses for its index):
 * blocks of keys with shared prefixes, and an index block that locates them.
 * @throws RankscopeError 'malformed', or 'unsupported' for compressed blocks.
 */
export async function readTable(
  source: ByteSource,
  allowance: Allowance,
  signal?: AbortSignal,
): Promise<Map<string, Uint8Array>> {
  const malformed = (found: string) =>
    new RankscopeError('malformed', source.name, found, 'It is damaged or cut off: copy or download it again');
  if (source.size < FOOTER) throw malformed(`it has only ${source.size} bytes`);
  const footer = await source.read(source.size - FOOTER, FOOTER, signal);
  const view = new DataView(footer.buffer, footer.byteOffset, footer.byteLength);
  if (view.getBigUint64(FOOTER - 8, true) !== TABLE_MAGIC)
    throw malformed('it does not end with the magic number of a TensorFlow index');
  const handles = new Varints(footer, malformed);
  handles.next();
  handles.next();
  const index = await block(handles.next(), handles.next());

  const entries = new Map<string, Uint8Array>();
  for (const handle of entriesOf(index, malformed)) {
    const numbers = new Varints(handle.value, malformed);
    for (const { key, value } of entriesOf(await block(numbers.next(), numbers.next()), malformed)) {
      if (entries.size > MAX_TENSORS) throw malformed(`it has more than ${MAX_TENSORS} entries`);
      allowance.spend(ENTRY_BYTES + 2 * key.length);
      if (entries.has(key)) throw malformed(`the name ${JSON.stringify(key)} occurs twice`);
      entries.set(key, value);
    }
  }
  return entries;

  async function block(offset: number, size: number): Promise<Uint8Array> {
    if (size > MAX_TABLE_BLOCK || !(offset + size + TRAILER <= source.size))
      throw malformed(`a block of ${size} bytes at byte ${offset} is too large or extends beyond the file`);
    allowance.spend(size);
    const bytes = await source.read(offset, size + TRAILER, signal);
    if (bytes[size] !== 0)
      throw new RankscopeError('unsupported', source.name, 'its blocks are compressed', 'Save the checkpoint again');
    return bytes.subarray(0, size);
  }
}

function* entriesOf(
  block: Uint8Array,
  malformed: (found: string) => RankscopeError,
): Generator<{ key: string; value: Uint8Array }> {
  const restarts =
    block.length < 4 ? -1 : new DataView(block.buffer, block.byteOffset + block.length - 4, 4).getUint32(0, true);
  const end = block.length - 4 - 4 * restarts;
  if (restarts < 0 || end < 0) throw malformed('a block ends before its restart points');
  const numbers = new Varints(block.subarray(0, end), malformed);
  let key = Buffer.alloc(0);
  while (numbers.at < end) {
    const [shared, suffix, length] = [numbers.next(), numbers.next(), numbers.next()];
    if (shared + suffix > MAX_TABLE_KEY) throw malformed(`it has a name of ${shared + suffix} bytes`);
    if (shared > key.length || numbers.at + suffix + length > end) throw malformed('an entry extends beyond its block');
    key = Buffer.concat([key.subarray(0, shared), block.subarray(numbers.at, numbers.at + suffix)]);
    const value = block.subarray(numbers.at + suffix, numbers.at + suffix + length);
    numbers.at += suffix + length;
    yield { key: key.toString('utf8'), value };
  }
}

/** Reads consecutive varints of at most 2^53. */
export class Varints {
  at = 0;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly malformed: (found: string) => RankscopeError,
  ) {}

  next(): number {
    let value = 0;
    for (let scale = 1; scale < 2 ** 64; scale *= 128) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) throw this.malformed('a number is cut off');
      value += (byte & 127) * scale;
      if (byte < 128) {
        if (value > Number.MAX_SAFE_INTEGER) throw this.malformed('a number is beyond 2^53');
        return value;
      }
    }
    throw this.malformed('a number is longer than 9 bytes');
  }
}
