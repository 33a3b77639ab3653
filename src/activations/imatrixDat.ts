import { RankscopeError, throwIfCancelled } from '../base/errors.ts';
import { yieldEvery } from '../base/eventLoop.ts';
import { MAX_TENSORS } from '../bytes/limits.ts';
import type { FileSource } from '../bytes/source/fileSource.ts';
import type { Statistics, StatisticsEntry } from './statistics.ts';

/** Bytes of a name: ggml's own bound is 64. */
const MAX_NAME = 1024;
/** Bytes read at a time while the entries are listed: a name and three numbers, mostly. */
const STEP = 4096;

/**
 * The importance matrix in llama.cpp's format before GGUF, little-endian: the number of entries (i32); for each the
 * length of its name (i32), the name, the number of calls (i32), the number of values (i32) and the values (f32), which
 * are mean squares of the inputs times the number of calls, for each expert of a stack; then, in newer files, the
 * number of chunks (i32), the length of the text's name (i32) and the name. The numbers of tokens are not stored, and a
 * factor common to all inputs changes no rank.
 * @throws RankscopeError 'malformed' that says at which byte
 */
export async function imatrixDat(source: FileSource, signal: AbortSignal | undefined): Promise<Statistics> {
  const { name: path, size } = source;
  const malformed = (found: string) =>
    new RankscopeError('malformed', path, found, 'Name a file of statistics of rankscope calibrate or llama-imatrix');
  let at = 0;
  let [window, start] = [new Uint8Array(0), 0];
  const bytes = async (length: number, what: string): Promise<Uint8Array> => {
    if (at + length > size) throw malformed(`it ends at byte ${size}, within ${what}`);
    if (at < start || at + length > start + window.length) {
      start = at;
      window = new Uint8Array(await source.read(at, Math.min(Math.max(length, STEP), size - at), signal));
    }
    at += length;
    return window.subarray(at - length - start, at - start);
  };
  const integer = async (what: string): Promise<number> => {
    const four = await bytes(4, what);
    return new DataView(four.buffer, four.byteOffset, 4).getInt32(0, true);
  };
  const text = async (most: number, what: string): Promise<string> => {
    const length = await integer(what);
    if (length < 0 || length > most) throw malformed(`at byte ${at - 4}, ${what} has ${length} bytes`);
    return new TextDecoder().decode(await bytes(length, what));
  };

  const count = await integer('the number of entries');
  // Each takes at least 17 bytes, so a larger number is a lie.
  if (count < 1 || count > MAX_TENSORS || count * 17 > size)
    throw malformed(`it is no imatrix: the first number, of its entries, is ${count}`);
  const pause = yieldEvery(20);
  const entries: StatisticsEntry[] = [];
  const names = new Set<string>();
  for (let number = 1; number <= count; number++) {
    await pause();
    throwIfCancelled(signal, path);
    const name = await text(MAX_NAME, `the name of entry ${number}`);
    if (!/^[\x21-\x7e]+$/.test(name)) throw malformed(`entry ${number} has the name ${JSON.stringify(name)}`);
    if (names.has(name)) throw malformed(`two entries are called ${name}`);
    names.add(name);
    await integer(`the number of calls of ${name}`);
    const length = await integer(`the number of values of ${name}`);
    if (length < 1) throw malformed(`${name} has ${length} values`);
    if (at + 4 * length > size) throw malformed(`it ends at byte ${size}, within the ${length} values of ${name}`);
    const offset = at;
    at += 4 * length;
    entries.push({
      name,
      length,
      tokens: () => null,
      async read(from, out, cancel) {
        const raw = await source.read(offset + 4 * from, 4 * out.length, cancel);
        const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
        for (let i = 0; i < out.length; i++) out[i] = view.getFloat32(4 * i, true);
      },
      storage: `${offset}:${4 * length}`,
    });
  }
  let dataset: string | null = null;
  if (at < size) {
    await integer('the number of chunks');
    if (at < size) dataset = await text(65_536, 'the name of the text');
    if (at < size) throw malformed(`${size - at} bytes follow its last entry`);
  }
  return {
    summary: { path, kind: 'diagonal', text: dataset, model: null, producer: 'llama.cpp', tokens: null },
    naming: 'llama.cpp',
    entries,
    file: source.identity,
    close: () => source.close(),
  };
}
