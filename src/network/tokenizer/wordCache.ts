import type { EncodePiece } from './tokenizer.ts';

const MAX_WORDS = 1 << 16;
const MAX_LENGTH = 64;

/** Remembers the ids of short pieces: most of a text consists of few words. */
export function cached(encode: EncodePiece): EncodePiece {
  const words = new Map<string, ArrayLike<number>>();
  return (piece) => {
    const known = words.get(piece);
    if (known) return known;
    const ids = encode(piece);
    if (piece.length <= MAX_LENGTH) {
      if (words.size >= MAX_WORDS) words.clear();
      words.set(piece, ids);
    }
    return ids;
  };
}
