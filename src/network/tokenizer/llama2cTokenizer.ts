import { RankscopeError } from '../../base/errors.ts';
import { MAX_TOKEN_LENGTH } from '../../bytes/limits.ts';
import { isByteToken } from './bytePieces.ts';
import { PIECE, sentencePieceTokenizer } from './sentencePiece.ts';
import type { Tokenizer } from './tokenizer.ts';

const TEXT = new TextDecoder('utf-8', { ignoreBOM: true });

/** llama2.c always writes the tokens for unknown characters, begin and end as the first three. */
const [UNKNOWN, START, END] = [0, 1, 2];

/**
 * The `tokenizer.bin` of llama2.c: the length of the longest token, then for each token its score as f32, its length
 * and its text. It does not say how many there are.
 */
export function llama2cTokenizer(file: string, bytes: Uint8Array): Tokenizer {
  const malformed = (found: string) =>
    new RankscopeError('malformed', file, found, 'It is damaged, or not the tokenizer.bin of llama2.c');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4) throw malformed(`it has ${bytes.length} bytes`);
  const longest = view.getUint32(0, true);
  if (longest < 1 || longest > MAX_TOKEN_LENGTH) throw malformed(`its longest token is said to have ${longest} bytes`);
  const pieces: string[] = [];
  const scores: number[] = [];
  for (let at = 4; at < bytes.length; ) {
    if (at + 8 > bytes.length) throw malformed(`it ends inside token ${pieces.length}`);
    const length = view.getUint32(at + 4, true);
    if (length > longest) throw malformed(`token ${pieces.length} is longer than the longest`);
    if (at + 8 + length > bytes.length) throw malformed(`it ends inside token ${pieces.length}`);
    scores.push(view.getFloat32(at, true));
    pieces.push(TEXT.decode(bytes.subarray(at + 8, at + 8 + length)));
    at += 8 + length;
  }
  if (pieces.length <= END) throw malformed(`it has ${pieces.length} tokens`);
  return sentencePieceTokenizer({
    kind: 'llama2.c',
    file,
    // Spaces are written as they are, and line breaks surround the names of start and end.
    pieces: pieces.map((piece, id) => (id === START || id === END ? piece.trim() : piece.replaceAll(' ', '\u2581'))),
    scores,
    types: pieces.map((piece, id) => {
      if (id <= END) return id === UNKNOWN ? PIECE.unknown : PIECE.control;
      return isByteToken(piece) ? PIECE.byte : PIECE.normal;
    }),
    start: START,
    addsStart: true,
    spacePrefix: true,
  });
}
