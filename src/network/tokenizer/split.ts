/** What becomes of the matches of a pattern when a text is cut at them. */
export type SplitBehavior = 'Isolated' | 'Removed' | 'MergedWithPrevious' | 'MergedWithNext' | 'Contiguous';

/** Cuts a text into pieces. */
export type Cut = (text: string) => Iterable<string>;

/** Cuts at the matches of a global pattern; with `invert`, at what is between them. */
export function splitAt(pattern: RegExp, behavior: SplitBehavior = 'Isolated', invert = false): Cut {
  return function* (text) {
    let held = '';
    let heldMatch: boolean | undefined;
    for (const { piece, match } of stretches(text, pattern)) {
      const delimiter = match !== invert;
      const joins =
        (behavior === 'MergedWithPrevious' && delimiter && heldMatch === false) ||
        (behavior === 'MergedWithNext' && !delimiter && heldMatch === true) ||
        (behavior === 'Contiguous' && delimiter === heldMatch);
      if (joins) held += piece;
      else {
        if (held) yield held;
        held = behavior === 'Removed' && delimiter ? '' : piece;
      }
      heldMatch = delimiter;
    }
    if (held) yield held;
  };
}

/** The matches of a pattern and what is between them, none of them empty. */
function* stretches(text: string, pattern: RegExp): Iterable<{ readonly piece: string; readonly match: boolean }> {
  let done = 0;
  for (const match of text.matchAll(pattern)) {
    if (match.index > done) yield { piece: text.slice(done, match.index), match: false };
    if (match[0]) yield { piece: match[0], match: true };
    done = match.index + match[0].length;
  }
  if (done < text.length) yield { piece: text.slice(done), match: false };
}

/** Applies one cut after the other. */
export function inTurn(cuts: readonly Cut[]): Cut {
  return cuts.reduce<Cut>(
    (before, next) =>
      function* (text) {
        for (const piece of before(text)) yield* next(piece);
      },
    (text) => [text],
  );
}

/** GPT-2's words. White space is Unicode's: JavaScript's `\s` takes U+FEFF for it and leaves out U+0085. */
export const GPT2_WORDS =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
