/** The number of sequences to which the groups of one pattern may expand. */
const MOST_SEQUENCES = 256;

/** Whether a module's name matches a pattern of PEFT's `rank_pattern` or `alpha_pattern`. */
export type NameTest = (name: string) => boolean;

/**
 * PEFT reads a pattern as a regular expression that must match the end of the name, starting at its beginning or after
 * a dot. A hostile pattern could keep a backtracking engine busy forever; this matcher takes time proportional to name
 * and pattern. It supports literals, `.`, classes, `\d \w \s`, groups of alternatives, `* + ?` after a single
 * character, `^` and `$`. Returns undefined for any other pattern.
 */
export function namePattern(pattern: string): NameTest | undefined {
  const parser = new Parser(pattern);
  const sequences = parser.alternatives();
  if (!sequences || !parser.atEnd) return undefined;
  return (name) => sequences.some((sequence) => fits(sequence, name));
}

interface Token {
  readonly accepts: (letter: string) => boolean;
  /** `*` and `?`. */
  readonly optional: boolean;
  /** `*` and `+`. */
  readonly repeats: boolean;
}
/** `^`: matches only at the beginning of the name. */
const BEGIN: Token = { accepts: () => false, optional: false, repeats: false };

/** Follows all reachable positions at once (Thompson 1968). */
function fits(tokens: readonly Token[], name: string): boolean {
  const anchored = tokens[0] === BEGIN;
  const sequence = anchored ? tokens.slice(1) : tokens;
  if (sequence.includes(BEGIN)) return false;
  let reached = new Set<number>();
  for (let at = 0; at <= name.length; at++) {
    if (at === 0 || (!anchored && name[at - 1] === '.')) reached.add(0);
    // An optional token may be skipped; a position added here is visited later in the same pass.
    for (const place of reached) if (sequence[place]?.optional) reached.add(place + 1);
    if (at === name.length) break;
    const next = new Set<number>();
    for (const place of reached) {
      const token = sequence[place];
      if (!token?.accepts(name[at]!)) continue;
      next.add(place + 1);
      if (token.repeats) next.add(place);
    }
    reached = next;
  }
  return reached.has(sequence.length);
}

const CLASSES: Readonly<Record<string, (letter: string) => boolean>> = {
  d: (letter) => letter >= '0' && letter <= '9',
  w: (letter) => /\w/.test(letter),
  s: (letter) => /\s/.test(letter),
};

class Parser {
  private at = 0;

  constructor(private readonly text: string) {}

  get atEnd(): boolean {
    return this.at >= this.text.length;
  }

  alternatives(): Token[][] | undefined {
    const all: Token[][] = [];
    do {
      const one = this.sequence();
      if (!one) return undefined;
      all.push(...one);
      if (all.length > MOST_SEQUENCES) return undefined;
    } while (this.take('|'));
    return all;
  }

  private sequence(): Token[][] | undefined {
    let sequences: Token[][] = [[]];
    while (!this.atEnd && this.peek() !== '|' && this.peek() !== ')') {
      const next = this.take('(') ? this.group() : this.single();
      if (!next || next.length * sequences.length > MOST_SEQUENCES) return undefined;
      sequences = sequences.flatMap((before) => next.map((after) => [...before, ...after]));
    }
    return sequences;
  }

  private group(): Token[][] | undefined {
    if (this.take('?') && !this.take(':')) return undefined;
    const inner = this.alternatives();
    if (!inner || !this.take(')')) return undefined;
    // Repeated groups are not supported.
    return '*+{'.includes(this.peek() || ' ') ? undefined : this.take('?') ? [...inner, []] : inner;
  }

  private single(): Token[][] | undefined {
    if (this.take('^')) return [[BEGIN]];
    if (this.take('$')) return this.atEnd || this.peek() === ')' || this.peek() === '|' ? [[]] : undefined;
    const accepts = this.letter();
    if (!accepts) return undefined;
    const sign = '*+?'.includes(this.peek() || ' ') ? this.text[this.at++] : '';
    // A lazy quantifier matches the same names.
    if (sign) this.take('?');
    if (this.peek() === '{' || '*+'.includes(this.peek() || ' ')) return undefined;
    return [[{ accepts, optional: sign === '*' || sign === '?', repeats: sign === '*' || sign === '+' }]];
  }

  private letter(): Token['accepts'] | undefined {
    const letter = this.text[this.at++]!;
    if (letter === '.') return () => true;
    if (letter === '[') return this.class();
    if ('*+?{}]'.includes(letter)) return undefined;
    if (letter !== '\\') return (other) => other === letter;
    const escaped = this.text[this.at++];
    if (escaped === undefined) return undefined;
    return CLASSES[escaped] ?? (/[A-Za-z0-9]/.test(escaped) ? undefined : (other) => other === escaped);
  }

  private class(): Token['accepts'] | undefined {
    const end = this.text.indexOf(']', this.at + 1);
    if (end < 0) return undefined;
    const inside = this.text.slice(this.at, end);
    this.at = end + 1;
    if (inside.includes('\\') || inside.includes('[')) return undefined;
    const inverted = inside.startsWith('^');
    const body = inverted ? inside.slice(1) : inside;
    const ranges: (readonly [string, string])[] = [];
    for (let at = 0; at < body.length; at++) {
      const isRange = body[at + 1] === '-' && at + 2 < body.length;
      ranges.push([body[at]!, body[isRange ? at + 2 : at]!]);
      if (isRange) at += 2;
    }
    return (letter) => ranges.some(([low, high]) => letter >= low && letter <= high) !== inverted;
  }

  private peek(): string {
    return this.text[this.at] ?? '';
  }

  private take(letter: string): boolean {
    if (this.peek() !== letter) return false;
    this.at++;
    return true;
  }
}
