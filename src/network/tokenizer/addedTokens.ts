/** A token that is found in the text itself, before it is cut into pieces. */
export interface AddedToken {
  readonly content: string;
  readonly id: number;
  /** Special tokens are found only where they are asked for. */
  readonly special: boolean;
  /** Whether it is looked for in the normalized text. */
  readonly normalized: boolean;
  /** Whether it must not be a part of a longer word. */
  readonly singleWord: boolean;
  /** Whether it takes the white space before and after it. */
  readonly stripLeft: boolean;
  readonly stripRight: boolean;
}

const ENDS_WORD = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;
const BEGINS_WORD = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;

/** Cuts a text at these tokens (the leftmost, and of those the longest): stretches of text, and ids of tokens. */
export function addedTokenSplitter(tokens: readonly AddedToken[]) {
  const byContent = new Map(tokens.filter(({ content }) => content).map((token) => [token.content, token]));
  const longestFirst = [...byContent.keys()].sort((a, b) => b.length - a.length);
  const pattern = longestFirst.map((content) => content.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')).join('|');
  const any = pattern ? new RegExp(pattern, 'g') : undefined;

  return function* (text: string, specialTokens: boolean): Generator<string | number> {
    let done = 0;
    for (const match of any ? text.matchAll(any) : []) {
      const token = byContent.get(match[0])!;
      let start = match.index;
      let end = start + match[0].length;
      if (start < done || (token.special && !specialTokens)) continue;
      if (token.singleWord && !standsAlone(text, start, end)) continue;
      if (token.stripLeft) while (start > done && /\p{White_Space}/u.test(text[start - 1]!)) start--;
      if (token.stripRight) while (end < text.length && /\p{White_Space}/u.test(text[end]!)) end++;
      if (start > done) yield text.slice(done, start);
      yield token.id;
      done = end;
    }
    if (done < text.length) yield text.slice(done);
  };
}

/** Whether neither neighbour of a stretch of `text` is part of a word; a neighbour may take two UTF-16 units. */
function standsAlone(text: string, start: number, end: number): boolean {
  return !ENDS_WORD.test(text.slice(Math.max(0, start - 2), start)) && !BEGINS_WORD.test(text.slice(end, end + 2));
}
