import { RankscopeError } from '../../base/errors.ts';
import { byteFallback, isByteToken } from './bytePieces.ts';
import { mergePairs, type Pairs } from './mergePairs.ts';
import { CharacterPairs, separate } from './separate.ts';
import type { EncodePiece } from './tokenizer.ts';
import { cached } from './wordCache.ts';

/** A byte-pair encoding with a list of merges, as `tokenizer.json` describes it. */
export interface BpeDescription {
  readonly vocabulary: ReadonlyMap<string, number>;
  /** Pairs of tokens, the first to be merged first. */
  readonly merges: readonly (readonly [string, string])[];
  /** The token for a character that the vocabulary lacks; such a character is dropped without one. */
  readonly unknown?: number | undefined;
  /** Whether neighbouring unknown characters become one token. */
  readonly fuseUnknown?: boolean;
  /** Whether a character that the vocabulary lacks becomes the tokens of its bytes. */
  readonly byteFallback?: boolean;
  /** Whether a piece that is a token stays whole, whatever the merges say. */
  readonly ignoreMerges?: boolean;
  /** Written in front of each character but the first, and behind the last. */
  readonly prefix?: string;
  readonly suffix?: string;
}

/** @throws RankscopeError 'malformed' for a merge of tokens that the vocabulary lacks. */
export function bpe(file: string, description: BpeDescription): EncodePiece {
  const {
    vocabulary,
    merges,
    unknown,
    fuseUnknown = false,
    ignoreMerges = false,
    prefix = '',
    suffix = '',
  } = description;
  const pairs = mergeTable(file, description);
  const encodeWord = cached((word) => {
    const whole = ignoreMerges ? vocabulary.get(word) : undefined;
    return whole !== undefined ? [whole] : mergePairs(symbolsOf(word, description), pairs);
  });
  // Affixes depend on the place in the piece, and tokens of bytes hide the characters that they belong to.
  if (ignoreMerges || prefix || suffix || merges.some(([left, right]) => isByteToken(left) || isByteToken(right)))
    return encodeWord;
  const touching = new CharacterPairs();
  for (const [left, right] of merges) touching.add([...left].at(-1)!, right);
  // Unknown characters may become one token together, and the neighbours of one that is dropped may merge.
  const lacking = (character: string) =>
    !vocabulary.has(character) && !(description.byteFallback && byteFallback(character, vocabulary));
  const joined = (left: string, right: string) =>
    touching.has(left, right) ||
    (unknown === undefined ? lacking(left) || lacking(right) : fuseUnknown && lacking(left) && lacking(right));
  return partwise((piece) => separate(piece, joined), encodeWord);
}

/** The ids of a piece's parts, one after the other. */
export function partwise(parts: (piece: string) => Iterable<string>, encode: EncodePiece): EncodePiece {
  return (piece) => {
    const found: ArrayLike<number>[] = [];
    for (const part of parts(piece)) found.push(encode(part));
    if (found.length === 1) return found[0]!;
    const ids = new Int32Array(found.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const each of found) {
      ids.set(each, at);
      at += each.length;
    }
    return ids;
  };
}

/** The symbols that a word begins as: one for each character that the vocabulary has. */
function symbolsOf(word: string, description: BpeDescription): Int32Array {
  const { vocabulary, unknown, fuseUnknown, prefix = '', suffix = '' } = description;
  const symbols: number[] = [];
  let fusing = false;
  let at = 0;
  for (const character of word) {
    const spelled = (at > 0 ? prefix : '') + character + (at + character.length === word.length ? suffix : '');
    at += character.length;
    const id = vocabulary.get(spelled);
    const ids = id !== undefined ? [id] : description.byteFallback ? byteFallback(spelled, vocabulary) : undefined;
    if (ids) symbols.push(...ids);
    else if (unknown !== undefined && !(fuseUnknown && fusing)) symbols.push(unknown);
    fusing = ids === undefined;
  }
  return Int32Array.from(symbols);
}

function mergeTable(file: string, { vocabulary, merges, prefix = '' }: BpeDescription): Pairs {
  const ranks = new Map<number, number>();
  const merged = new Int32Array(merges.length);
  const width = 1 + Math.max(0, ...chunkMaxima(vocabulary.values()));
  const idOf = (token: string) => {
    const id = vocabulary.get(token);
    if (id !== undefined) return id;
    throw new RankscopeError(
      'malformed',
      file,
      `a merge needs the token ${JSON.stringify(token.slice(0, 100))}, which is not in the vocabulary`,
      'It is damaged: copy or download it again',
    );
  };
  merges.forEach(([left, right], rank) => {
    merged[rank] = idOf(left + (right.startsWith(prefix) ? right.slice(prefix.length) : right));
    ranks.set(idOf(left) * width + idOf(right), rank);
  });
  return {
    find: (left, right) => ranks.get(left * width + right) ?? -1,
    rankOf: (merge) => merge,
    symbolOf: (merge) => merged[merge]!,
  };
}

/** The largest of many numbers, as a list of one. */
function chunkMaxima(values: Iterable<number>): [number] {
  let largest = 0;
  for (const value of values) if (value > largest) largest = value;
  return [largest];
}
