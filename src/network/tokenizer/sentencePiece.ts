import { RankscopeError } from '../../base/errors.ts';
import { type AddedToken, addedTokenSplitter } from './addedTokens.ts';
import { isByteToken } from './bytePieces.ts';
import { type Decoding, decodeIds } from './decoding/decodeIds.ts';
import { sentencePieceDecode } from './decoding/steps.ts';
import { encodeText } from './encodeText.ts';
import { scored } from './scored.ts';
import type { Place, Stages, Tokenizer } from './tokenizer.ts';

/** What a piece is, numbered as in SentencePiece's files and in GGUF. */
export const PIECE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** A vocabulary of SentencePiece, whichever file it was in. Spaces are written as U+2581. */
export interface SentencePieceVocabulary {
  readonly kind: string;
  readonly file: string;
  readonly pieces: readonly string[];
  readonly scores: ArrayLike<number>;
  /** One of `PIECE` for each piece. */
  readonly types: ArrayLike<number>;
  readonly start: number | undefined;
  readonly addsStart: boolean;
  /** Whether a space is written in front of a text, and of what follows a special token. */
  readonly spacePrefix: boolean;
}

/**
 * The tokenizer of a SentencePiece vocabulary of the kind BPE. Like SentencePiece, llama.cpp and llama2.c it writes the
 * space in front of a text even if that begins with one; transformers 5 does not, and has one token less there.
 */
export function sentencePieceTokenizer(vocabulary: SentencePieceVocabulary): Tokenizer {
  const { kind, file, pieces, scores, types, spacePrefix } = vocabulary;
  if (scores.length < pieces.length || types.length < pieces.length)
    throw new RankscopeError(
      'malformed',
      file,
      `its vocabulary has ${pieces.length} pieces, but ${scores.length} scores and ${types.length} types`,
      'It is damaged: copy or download it again',
    );
  const idsOf = (...wanted: readonly number[]) =>
    pieces.flatMap((piece, id) => (piece && wanted.includes(types[id]!) ? [[piece, id] as const] : []));
  const added = idsOf(PIECE.userDefined, PIECE.control, PIECE.unknown).map(
    ([piece, id]): AddedToken => ({
      content: types[id] === PIECE.userDefined ? piece.replaceAll(MARK, ' ') : piece,
      id,
      special: types[id] !== PIECE.userDefined,
      normalized: false,
      singleWord: false,
      stripLeft: false,
      stripRight: false,
    }),
  );
  const split = addedTokenSplitter(added);
  const stages: Stages = {
    splitAdded: (text, normalized, special) => (normalized ? [text] : split(text, special)),
    normalize: (text) => text,
    cut: (text, { first, afterToken }: Place) => {
      const prefix = spacePrefix && (first || afterToken) ? MARK : '';
      return [prefix + text.replaceAll(' ', MARK)];
    },
    encodePiece: scored({
      pieces: firstOfEach(idsOf(PIECE.normal, PIECE.userDefined, PIECE.unused)),
      scores: Array.from(pieces, (_, id) => scores[id]!),
      bytes: firstOfEach(idsOf(PIECE.byte).filter(([piece]) => isByteToken(piece))),
      unknown: idsOf(PIECE.unknown)[0]?.[1],
      unused: new Set(idsOf(PIECE.unused).map(([, id]) => id)),
    }),
  };
  const decoding: Decoding = {
    file,
    tokenOf: (id) => pieces[id],
    isSpecial: (id) => types[id] === PIECE.control || types[id] === PIECE.unknown,
    step: () => sentencePieceDecode(spacePrefix),
  };
  return {
    kind,
    file,
    vocabularySize: pieces.length,
    start: vocabulary.start,
    addsStart: vocabulary.addsStart && vocabulary.start !== undefined,
    encode: (text, options) => encodeText(file, stages, text, options),
    decode: (ids, options) => decodeIds(decoding, ids, options),
  };
}

const MARK = '\u2581';

/** Of equal pieces, the first counts. */
function firstOfEach(entries: readonly (readonly [string, number])[]): Map<string, number> {
  const map = new Map<string, number>();
  for (const [piece, id] of entries) if (!map.has(piece)) map.set(piece, id);
  return map;
}
