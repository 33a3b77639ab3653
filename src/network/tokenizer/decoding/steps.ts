import { RankscopeError } from '../../../base/errors.ts';
import { isObject, type JsonObject } from '../../../bytes/boundedJson.ts';
import { byteOfToken, bytesInAlphabet } from '../bytePieces.ts';
import { patternOf } from '../preTokenizer.ts';

/** A step from tokens to text: what the tokens become, still in pieces. */
export type DecodeStep = (tokens: readonly string[]) => readonly string[];

const UTF8 = new TextDecoder('utf-8', { ignoreBOM: true });
const STRICT_UTF8 = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });
const UNREADABLE = '\uFFFD';

/**
 * The steps of the decoder that a `tokenizer.json` describes, as Hugging Face's tokenizers apply them. A file without a
 * decoder has its tokens joined with spaces.
 * @throws RankscopeError 'malformed', or 'unsupported' for a decoder that is not known, by name
 */
export function decodeStep(file: string, description: unknown): DecodeStep {
  if (description === null || description === undefined) return (tokens) => [tokens.join(' ')];
  if (!isObject(description)) throw malformed(file, 'its decoder is not an object');
  switch (description.type) {
    case 'Sequence': {
      const list = description.decoders;
      if (!Array.isArray(list)) throw malformed(file, 'a sequence of decoders has no list');
      return inSequence(list.map((each) => decodeStep(file, each)));
    }
    case 'ByteLevel':
      return byteLevelDecode;
    case 'ByteFallback':
      return byteFallbackDecode;
    case 'Fuse':
      return fuse;
    case 'Metaspace':
      return metaspace(description);
    case 'Replace':
      return replaced(patternOf(file, description), textIn(file, description, 'content', ''));
    case 'Strip':
      return stripped(textIn(file, description, 'content', ' '), countOf(description.start), countOf(description.stop));
    case 'WordPiece':
      return wordPiece(textIn(file, description, 'prefix', '##'), description.cleanup !== false);
    case 'BPEDecoder':
      return suffixed(textIn(file, description, 'suffix', '</w>'));
    default:
      throw new RankscopeError(
        'unsupported',
        file,
        `its decoder ${JSON.stringify(description.type)} is not known`,
        'Texts can be encoded, but ids cannot be shown as text',
      );
  }
}

/** How SentencePiece's pieces become text; the space that stands in front of every text is removed if there is one. */
export function sentencePieceDecode(spacePrefix: boolean): DecodeStep {
  const steps = [replaced(/\u2581/gu, ' '), byteFallbackDecode, fuse];
  return inSequence(spacePrefix ? [...steps, stripped(' ', 1, 0)] : steps);
}

/** The bytes of all tokens, of which a character may take several. Tokens outside the alphabet are text as they are. */
export const byteLevelDecode: DecodeStep = (tokens) => {
  const bytes = tokens.map((token) => bytesInAlphabet(token) ?? Buffer.from(token));
  return [UTF8.decode(Buffer.concat(bytes))];
};

/** Neighbouring tokens of bytes become the text of these bytes, or an unreadable character each if they are none. */
const byteFallbackDecode: DecodeStep = (tokens) => {
  const texts: string[] = [];
  let bytes: number[] = [];
  const flush = () => {
    if (bytes.length > 0) texts.push(textOfBytes(bytes) ?? UNREADABLE.repeat(bytes.length));
    bytes = [];
  };
  for (const token of tokens) {
    const byte = byteOfToken(token);
    if (byte !== undefined) {
      bytes.push(byte);
      continue;
    }
    flush();
    texts.push(token);
  }
  flush();
  return texts;
};

function textOfBytes(bytes: readonly number[]): string | undefined {
  try {
    return STRICT_UTF8.decode(Uint8Array.from(bytes));
  } catch {
    return undefined;
  }
}

const fuse: DecodeStep = (tokens) => [tokens.join('')];

function inSequence(steps: readonly DecodeStep[]): DecodeStep {
  return (tokens) => steps.reduce((pieces, step) => step(pieces), tokens);
}

function metaspace({ replacement, prepend_scheme: scheme, add_prefix_space: old }: JsonObject): DecodeStep {
  const mark = typeof replacement === 'string' && replacement ? replacement : '\u2581';
  const prepended = scheme === undefined ? old !== false : scheme !== 'never';
  return (tokens) => tokens.map((token, at) => token.replaceAll(mark, at === 0 && prepended ? '' : ' '));
}

function replaced(pattern: RegExp, content: string): DecodeStep {
  // A function, because a dollar sign in a text would be a reference to the match.
  return (tokens) => tokens.map((token) => token.replace(pattern, () => content));
}

function stripped(content: string, start: number, stop: number): DecodeStep {
  return (tokens) =>
    tokens.map((token) => {
      let [from, to] = [0, token.length];
      for (let k = 0; k < start && content && token.startsWith(content, from); k++) from += content.length;
      for (let k = 0; k < stop && content && to > from && token.slice(from, to).endsWith(content); k++)
        to -= content.length;
      return token.slice(from, to);
    });
}

function wordPiece(prefix: string, cleanup: boolean): DecodeStep {
  const joined = (token: string, at: number) => {
    if (at === 0) return token;
    return token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
  };
  return (tokens) =>
    tokens.map((token, at) => {
      const text = joined(token, at);
      return cleanup ? cleanedUp(text).replaceAll(' do not', " don't") : text;
    });
}

function suffixed(suffix: string): DecodeStep {
  return (tokens) => tokens.map((token, at) => token.replaceAll(suffix, at === tokens.length - 1 ? '' : ' '));
}

/** Spaces in front of English punctuation and short forms, which WordPiece cuts off, are removed. */
export function cleanedUp(text: string): string {
  return [" n't", " 'm", " 's", " 've", " 're"].reduce(
    (clean, short) => clean.replaceAll(short, short.slice(1)),
    [' .', ' ?', ' !', ' ,']
      .reduce((clean, mark) => clean.replaceAll(mark, mark.slice(1)), text)
      .replaceAll(" ' ", "'"),
  );
}

function countOf(value: unknown): number {
  return Number.isSafeInteger(value) && (value as number) > 0 ? (value as number) : 0;
}

function textIn(file: string, description: JsonObject, key: string, fallback: string): string {
  const value = description[key] ?? fallback;
  if (typeof value !== 'string') throw malformed(file, `the ${key} of a decoder is not a text`);
  return value;
}

function malformed(file: string, found: string): RankscopeError {
  return new RankscopeError('malformed', file, found, 'It is damaged: copy or download it again');
}
