import type { Repetition } from './generation.ts';

/** Fewer tokens than this are not judged. */
const JUDGED = 12;
/** A text repeats itself if fewer of its runs of 3 tokens are distinct... */
const DISTINCT = 0.5;
/** ...or if its longest repeat takes this share of it, and at least this many tokens. */
const REPEATED = { share: 1 / 3, tokens: 8 };
/** ...or if a run comes so often in a row. */
const IN_A_ROW = 5;

/**
 * How much a text of tokens repeats itself. That it does is said of at least 12 tokens, if less than half of their runs
 * of 3 are distinct, a run of at least 8 tokens and a third of the text comes again, or one comes 5 times in a row.
 * @param textOf The text of some of the tokens; null without a tokenizer.
 */
export function measureRepetition(
  ids: readonly number[],
  textOf: (ids: readonly number[]) => string | null,
): Repetition {
  const { first, length } = longestRepeat(ids);
  const distinct = [distinctShare(ids, 1), distinctShare(ids, 2), distinctShare(ids, 3)] as const;
  const returns = length >= REPEATED.tokens && length >= REPEATED.share * ids.length;
  const loop = mostInARow(ids);
  const loops = loop !== null && loop.times >= IN_A_ROW;
  return {
    loop,
    longest: length > 0 ? { tokens: length, text: textOf(ids.slice(first, first + length)) } : null,
    distinct,
    repeats: ids.length >= JUDGED && ((distinct[2] ?? 1) < DISTINCT || returns || loops),
  };
}

/** The distinct runs of `size` tokens, as a share of all; null if there are none (distinct-n; Li et al., 2016). */
function distinctShare(ids: readonly number[], size: number): number | null {
  const count = ids.length - size + 1;
  if (count <= 0) return null;
  const runs = new Set(Array.from({ length: count }, (_, at) => ids.slice(at, at + size).join()));
  return runs.size / count;
}

/** The longest run that comes again behind its end, the first of equally long ones. */
function longestRepeat(ids: readonly number[]): { readonly first: number; readonly length: number } {
  let [first, longest] = [0, 0];
  // For each end of a later run, the length of the run that it has in common with that which ends at `before`.
  let above = new Int32Array(ids.length + 1);
  for (let before = 0; before < ids.length; before++) {
    const own = new Int32Array(ids.length + 1);
    for (let later = before + 1; later < ids.length; later++) {
      if (ids[before] !== ids[later]) continue;
      own[later + 1] = Math.min(above[later]! + 1, later - before);
      if (own[later + 1]! > longest) {
        longest = own[later + 1]!;
        first = before - longest + 1;
      }
    }
    above = own;
  }
  return { first, length: longest };
}

/** The run that comes most often in a row, the shortest of those, if it comes at least three times. */
function mostInARow(ids: readonly number[]): Repetition['loop'] {
  let most: Repetition['loop'] = null;
  for (let tokens = 1; 3 * tokens <= ids.length; tokens++) {
    let equal = 0;
    for (let at = tokens; at < ids.length; at++) {
      equal = ids[at] === ids[at - tokens] ? equal + 1 : 0;
      const times = 1 + Math.floor(equal / tokens);
      if (times > (most?.times ?? 2)) most = { tokens, times };
    }
  }
  return most;
}
