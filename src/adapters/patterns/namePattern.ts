import { matches, OutOfSteps, type Span, type Steps } from './matcher.ts';
import { PatternError, parsePattern } from './parser.ts';

/** Names of modules are far shorter; the recursion of a match is as deep as the name is long. */
const LONGEST_NAME = 1000;

/** Whether a module's name matches; undefined where that takes too many steps to find out. */
export type NameTest = (name: string) => boolean | undefined;

/** A pattern of PEFT's `rank_pattern` or `alpha_pattern`. */
export interface NamePattern {
  readonly pattern: string;
  /** Undecided for every name if the pattern is not understood. */
  readonly fits: NameTest;
  /** Why it is not understood. */
  readonly reason?: string;
}

/**
 * PEFT matches a name with `(.*\\.)?(pattern)$` from its beginning: the pattern must match the end of the name,
 * starting at its beginning or after a dot. Python's syntax differs from that of JavaScript, and a hostile pattern
 * would keep either engine busy for ever: this one stops when `steps` are used up.
 */
export function namePattern(pattern: string, steps: Steps): NamePattern {
  try {
    // PEFT's own two groups come first.
    const node = parsePattern(pattern, 3);
    return { pattern, fits: (name) => decided(() => fitsName(node, name, steps)) };
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    return { pattern, fits: () => undefined, reason: error.message };
  }
}

function fitsName(node: ReturnType<typeof parsePattern>, name: string, steps: Steps): boolean | undefined {
  const letters = [...name];
  if (letters.length > LONGEST_NAME) return undefined;
  // Plain names, of which a configuration may have one for each module, can begin at one or two places only.
  const least = node.kind === 'letters' ? Math.max(0, letters.length - node.accepts.length - 1) : 0;
  if (letters.slice(0, least).includes('\n')) return false;
  for (let at = least; at <= letters.length; at++) {
    if (at > 0 && letters[at - 1] === '\n') return false;
    if (at > 0 && letters[at - 1] !== '.') continue;
    const groups: (Span | undefined)[] = [undefined, at > 0 ? [0, at] : undefined];
    const ends = (end: number) => end === letters.length || (end === letters.length - 1 && letters[end] === '\n');
    if (matches(node, { letters, groups, steps }, at, ends)) return true;
  }
  return false;
}

function decided(match: () => boolean | undefined): boolean | undefined {
  try {
    return match();
  } catch (error) {
    if (error instanceof OutOfSteps) return undefined;
    throw error;
  }
}
