import { RankscopeError } from '../../base/errors.ts';
import { MAX_IDS_FILE, MAX_VOCABULARY } from '../../bytes/limits.ts';
import { openFileSource } from '../../bytes/source/fileSource.ts';

const [LIST, END, COMMA, MINUS] = [0x5b, 0x5d, 0x2c, 0x2d];
const [ZERO, NINE] = [0x30, 0x39];
const SPACE = new Set([0x20, 0x09, 0x0a, 0x0d]);

/**
 * Reads a file of token ids: a JSON array, or numbers with white space or commas between them.
 * @throws RankscopeError 'malformed' that says at which byte, 'too-large'
 */
export async function readTokenIds(file: string, signal?: AbortSignal): Promise<Int32Array> {
  const source = await openFileSource(file);
  try {
    if (source.size > MAX_IDS_FILE)
      throw new RankscopeError('too-large', file, `it has ${source.size} bytes; at most ${MAX_IDS_FILE} are read`);
    return parseTokenIds(file, await source.read(0, source.size, signal));
  } finally {
    await source.close();
  }
}

function parseTokenIds(file: string, bytes: Uint8Array): Int32Array {
  const malformed = (found: string) =>
    new RankscopeError(
      'malformed',
      file,
      found,
      'Write the ids as a JSON array, or as numbers with spaces between them',
    );
  // A byte order mark may precede a text.
  let at = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  const skipSpace = () => {
    while (at < bytes.length && SPACE.has(bytes[at]!)) at++;
  };
  const shown = () => JSON.stringify(new TextDecoder().decode(bytes.subarray(at, at + 20)));
  const ids = new Int32Array(Math.ceil(bytes.length / 2));
  let count = 0;
  skipSpace();
  const list = bytes[at] === LIST;
  if (list) at++;
  for (skipSpace(); at < bytes.length && bytes[at] !== END; skipSpace()) {
    if (bytes[at] === MINUS) throw malformed(`the id at byte ${at} is negative (${shown()})`);
    const first = at;
    let id = 0;
    while (at < bytes.length && bytes[at]! >= ZERO && bytes[at]! <= NINE)
      id = Math.min(1e9, 10 * id + bytes[at++]! - ZERO);
    if (at === first) throw malformed(`byte ${at} is not the beginning of an id (${shown()})`);
    if (id >= MAX_VOCABULARY) throw malformed(`the id at byte ${first} is ${MAX_VOCABULARY} or more`);
    ids[count++] = id;
    const last = at;
    skipSpace();
    if (bytes[at] === COMMA) {
      at++;
      skipSpace();
      if (list && bytes[at] === END) throw malformed(`an id is missing at byte ${at}`);
    } else if (at < bytes.length && bytes[at] !== END && (list || at === last))
      throw malformed(`byte ${at} does not follow an id (${shown()})`);
  }
  if (list !== (bytes[at] === END)) throw malformed(list ? 'its array is not closed' : `byte ${at} closes no array`);
  if (list) at++;
  skipSpace();
  if (at < bytes.length) throw malformed(`something follows its array at byte ${at} (${shown()})`);
  if (count === 0) throw malformed('it holds no ids');
  return ids.slice(0, count);
}
