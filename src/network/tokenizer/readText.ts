import { RankscopeError } from '../../base/errors.ts';
import { MAX_TEXT_FILE } from '../../bytes/limits.ts';
import { openFileSource } from '../../bytes/source/fileSource.ts';

/**
 * The text in a file, in UTF-8, without a byte order mark. Line ends are kept as they are.
 * @throws RankscopeError 'malformed' if it is empty or no text, 'too-large', 'not-found', 'cancelled'
 */
export async function readText(file: string, signal?: AbortSignal): Promise<string> {
  const source = await openFileSource(file);
  try {
    if (source.size > MAX_TEXT_FILE)
      throw new RankscopeError(
        'too-large',
        file,
        `it has ${source.size} bytes; at most ${MAX_TEXT_FILE} are read`,
        'Give a part of it',
      );
    return decoded(file, await source.read(0, source.size, signal));
  } finally {
    await source.close();
  }
}

function decoded(file: string, bytes: Uint8Array): string {
  const refuse = (found: string, remedy: string) => new RankscopeError('malformed', file, found, remedy);
  const [first, second] = bytes;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff))
    throw refuse('it is a text in UTF-16', 'Save it in UTF-8');
  // No text contains the byte 0, and most binary files do.
  const zero = bytes.indexOf(0);
  if (zero >= 0) throw refuse(`it is a binary file: byte ${zero} is 0`, 'Give a text in UTF-8');
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw refuse(`it is not a text in UTF-8: byte ${firstWrong(bytes)} begins no character`, 'Save it in UTF-8');
  }
  if (text.trim() === '') throw refuse(text === '' ? 'it is empty' : 'it is blank', 'Give a text');
  return text;
}

/** The place of the first byte that decoding replaced. */
function firstWrong(bytes: Uint8Array): number {
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  let place = 0;
  for (let from = 0; ; ) {
    const at = text.indexOf('\uFFFD', from);
    place += Buffer.byteLength(text.slice(from, at));
    // The character may also be there itself.
    if (!(bytes[place] === 0xef && bytes[place + 1] === 0xbf && bytes[place + 2] === 0xbd)) return place;
    place += 3;
    from = at + 1;
  }
}
