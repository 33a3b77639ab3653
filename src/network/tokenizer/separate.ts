/** Pieces up to this length are not worth cutting. */
const SHORT = 32;

/** Pairs of characters, of which the left one ends a symbol and the right one begins the next. */
export class CharacterPairs {
  private readonly pairs = new Set<number>();

  add(left: string, right: string): void {
    this.pairs.add(keyOf(left.codePointAt(0)!, right.codePointAt(0)!));
  }

  has(left: string, right: string): boolean {
    return this.pairs.has(keyOf(left.codePointAt(0)!, right.codePointAt(0)!));
  }
}

function keyOf(left: number, right: number): number {
  return left * 0x110000 + right;
}

/**
 * Cuts a long piece where no merge can reach across, so that its parts are encoded by themselves with the same result.
 * SentencePiece's texts are not cut into words: without this, a whole book would be one piece.
 * @param joined Whether two neighbouring characters may come to be in one symbol.
 */
export function* separate(piece: string, joined: (left: string, right: string) => boolean): Iterable<string> {
  if (piece.length <= SHORT) {
    if (piece) yield piece;
    return;
  }
  let [start, at] = [0, 0];
  let left = '';
  for (const right of piece) {
    if (at > 0 && !joined(left, right)) {
      yield piece.slice(start, at);
      start = at;
    }
    at += right.length;
    left = right;
  }
  yield piece.slice(start);
}
