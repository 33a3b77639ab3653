/** Whether a set of letters has this one. */
export type Accepts = (letter: string) => boolean;

/** The flags that change what a part of an expression matches; the others need no memory. */
export interface Flags {
  readonly ignoreCase: boolean;
  readonly multiline: boolean;
  readonly dotAll: boolean;
  readonly verbose: boolean;
  readonly ascii: boolean;
}

/** `.` */
export const anyLetter = ({ dotAll }: Flags): Accepts => (dotAll ? () => true : (letter) => letter !== '\n');

/** One letter, in either case with the flag `i`. */
export function literal(letter: string, { ignoreCase }: Flags): Accepts {
  if (!ignoreCase) return (other) => other === letter;
  const [lower, upper] = [letter.toLowerCase(), letter.toUpperCase()];
  return (other) => other.toLowerCase() === lower || other.toUpperCase() === upper;
}

/** A class in brackets: with the flag `i` it has a letter if it has one of its cases. */
export function anyOf(sets: readonly Accepts[], inverted: boolean, { ignoreCase }: Flags): Accepts {
  const has: Accepts = (letter) => sets.some((accepts) => accepts(letter));
  const either: Accepts = ignoreCase
    ? (letter) => has(letter) || has(letter.toLowerCase()) || has(letter.toUpperCase())
    : has;
  return inverted ? (letter) => !either(letter) : either;
}

export function range(low: string, high: string): Accepts {
  const [from, to] = [low.codePointAt(0)!, high.codePointAt(0)!];
  return (letter) => letter.codePointAt(0)! >= from && letter.codePointAt(0)! <= to;
}

const ASCII_CLASSES: Readonly<Record<string, RegExp>> = { d: /^[0-9]$/, w: /^[A-Za-z0-9_]$/, s: /^[ \t\n\r\f\v]$/ };
// Python counts the four separators of ASCII as white space, and leaves out the byte-order mark.
const CONTROL_SPACES = '\t\n\r\f\v\u001c\u001d\u001e\u001f\u0085';
const CLASSES: Readonly<Record<string, RegExp>> = {
  d: /^\p{Nd}$/u,
  w: /^[\p{L}\p{N}_]$/u,
  s: new RegExp(`^[\\p{Z}${CONTROL_SPACES}]$`, 'u'),
};

/** `\d`, `\w`, `\s` and their opposites; undefined for any other letter. */
export function classOf(letter: string, { ascii }: Flags): Accepts | undefined {
  const own = (ascii ? ASCII_CLASSES : CLASSES)[letter.toLowerCase()];
  if (!own) return undefined;
  return letter === letter.toLowerCase() ? (other) => own.test(other) : (other) => !own.test(other);
}

export const isWord = (letter: string | undefined, flags: Flags): boolean =>
  letter !== undefined && classOf('w', flags)!(letter);
