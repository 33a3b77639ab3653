import { partwise } from './bpe.ts';
import { byteFallback } from './bytePieces.ts';
import { mergePairs } from './mergePairs.ts';
import { CharacterPairs, separate } from './separate.ts';
import type { EncodePiece } from './tokenizer.ts';
import { cached } from './wordCache.ts';

/** A vocabulary whose pieces have scores instead of a list of merges. */
export interface ScoredVocabulary {
  /** The pieces that merges may make, with their ids. */
  readonly pieces: ReadonlyMap<string, number>;
  /** By id: two neighbours merge if they make a piece, that of the highest score first. */
  readonly scores: ArrayLike<number>;
  /** The tokens of single bytes, for characters that are no piece. */
  readonly bytes: ReadonlyMap<string, number>;
  /** The token for such a character where tokens of its bytes are missing. */
  readonly unknown: number | undefined;
  /** Pieces that take part in merges but must not be left: they fall apart again. */
  readonly unused?: ReadonlySet<number>;
}

/**
 * SentencePiece's byte-pair encoding (Kudo and Richardson 2018), which llama.cpp and llama2.c follow: the pieces alone
 * say what merges, so that characters that are no piece by themselves may still become one together.
 */
export function scored(vocabulary: ScoredVocabulary): EncodePiece {
  const joined = new CharacterPairs();
  for (const piece of vocabulary.pieces.keys()) {
    let left = '';
    for (const right of piece) {
      if (left) joined.add(left, right);
      left = right;
    }
  }
  const { unknown, bytes } = vocabulary;
  // Neighbouring unknown characters become one token.
  const stays = (character: string) => vocabulary.pieces.has(character) || byteFallback(character, bytes) !== undefined;
  const apart = (left: string, right: string) => !joined.has(left, right) && (stays(left) || stays(right));
  const ranks = ranksOf(vocabulary);
  return partwise(
    (piece) => separate(piece, (left, right) => !apart(left, right)),
    cached((word) => fuse(encodeWord(word, vocabulary, ranks), unknown, bytes.size > 0)),
  );
}

/** Drops all but the first of neighbouring unknown tokens, which SentencePiece joins unless it spells them in bytes. */
function fuse(ids: number[], unknown: number | undefined, spelled: boolean): number[] {
  return spelled ? ids : ids.filter((id, at) => id !== unknown || ids[at - 1] !== unknown);
}

function encodeWord(word: string, vocabulary: ScoredVocabulary, ranks: Int32Array): number[] {
  const { pieces, bytes, unknown, unused } = vocabulary;
  // Characters that are no piece are numbered behind the pieces.
  const texts: string[] = [];
  const numbers = new Map<string, number>();
  const byId = new Map<number, string>();
  const numberOf = (text: string): number => {
    const id = pieces.get(text);
    if (id !== undefined) {
      byId.set(id, text);
      return id;
    }
    const known = numbers.get(text);
    if (known !== undefined) return known;
    numbers.set(text, ranks.length + texts.length);
    texts.push(text);
    return ranks.length + texts.length - 1;
  };
  const textOf = (symbol: number) => (symbol < ranks.length ? byId.get(symbol)! : texts[symbol - ranks.length]!);
  const halves = new Map<number, readonly [number, number]>();
  const symbols = mergePairs(Int32Array.from(word, numberOf), {
    find(left, right) {
      const text = textOf(left) + textOf(right);
      const id = pieces.get(text);
      if (id === undefined) return -1;
      byId.set(id, text);
      if (unused?.has(id)) halves.set(id, [left, right]);
      return id;
    },
    rankOf: (id) => ranks[id]!,
    symbolOf: (id) => id,
  });
  const ids: number[] = [];
  const put = (symbol: number): void => {
    const parts = unused?.has(symbol) ? halves.get(symbol) : undefined;
    if (parts) for (const part of parts) put(part);
    else if (symbol < ranks.length) ids.push(symbol);
    else ids.push(...(byteFallback(textOf(symbol), bytes) ?? (unknown === undefined ? [] : [unknown])));
  };
  for (const symbol of symbols) put(symbol);
  return ids;
}

/** By id: how many distinct scores are higher. */
function ranksOf({ scores }: ScoredVocabulary): Int32Array {
  const sorted = [...new Set(Array.from(scores))].sort((a, b) => b - a);
  const rank = new Map(sorted.map((score, at) => [score, at]));
  return Int32Array.from({ length: scores.length }, (_, id) => rank.get(scores[id]!)!);
}
