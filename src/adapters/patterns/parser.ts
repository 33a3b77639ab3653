import { type Accepts, anyLetter, anyOf, classOf, type Flags, isWord, literal, range } from './letters.ts';
import { type Node, type PlaceTest, widthOf } from './syntax.ts';

/** What an expression has that Python refuses, or that is not supported; the message is part of a sentence. */
export class PatternError extends Error {}

const MOST_LETTERS = 2000;
const DEEPEST = 40;
const MOST_REPEATS = 2 ** 32 - 1;
const PLAIN: Flags = { ignoreCase: false, multiline: false, dotAll: false, verbose: false, ascii: false };
const FLAGS: Readonly<Record<string, keyof Flags | null>> = {
  i: 'ignoreCase',
  m: 'multiline',
  s: 'dotAll',
  x: 'verbose',
  a: 'ascii',
  u: null,
};
const CONTROLS: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', f: '\f', v: '\v', a: '\x07' };

/**
 * Parses a regular expression as Python's `re` does (3.11 and later), with look-around, named groups, back-references,
 * conditionals, atomic groups and possessive quantifiers. Its groups are numbered from `firstGroup` on; those below
 * belong to the expression around it.
 * @throws PatternError
 */
export function parsePattern(pattern: string, firstGroup: number): Node {
  const parser = new Parser([...pattern], firstGroup);
  return parser.whole();
}

class Parser {
  private at = 0;
  private depth = 0;
  private readonly groups = new Map<number, Node>();
  private readonly open = new Set<number>();
  private readonly named = new Map<string, number>();

  constructor(
    private readonly text: readonly string[],
    private nextGroup: number,
  ) {
    if (text.length > MOST_LETTERS) throw new PatternError(`it is longer than ${MOST_LETTERS} characters`);
  }

  whole(): Node {
    const node = this.choice(PLAIN);
    if (this.at < this.text.length) throw new PatternError('it has an unbalanced parenthesis');
    return node;
  }

  private choice(flags: Flags): Node {
    if (++this.depth > DEEPEST) throw new PatternError(`it nests groups deeper than ${DEEPEST}`);
    const options = [this.sequence(flags)];
    while (this.take('|')) options.push(this.sequence(flags));
    this.depth--;
    return options.length === 1 ? options[0]! : { kind: 'choice', options };
  }

  private sequence(flags: Flags): Node {
    const parts: Node[] = [];
    for (;;) {
      if (flags.verbose) this.skipSpace();
      const letter = this.peek();
      if (letter === undefined || letter === '|' || letter === ')') break;
      const item = this.item(flags);
      if (!item) continue;
      const node = this.quantified(item, flags);
      const last = parts.at(-1);
      if (node.kind === 'letters' && last?.kind === 'letters')
        parts[parts.length - 1] = { kind: 'letters', accepts: [...last.accepts, ...node.accepts] };
      else parts.push(node);
    }
    return parts.length === 1 ? parts[0]! : { kind: 'sequence', parts };
  }

  /** One letter, class, group or assertion; undefined for a comment. */
  private item(flags: Flags): Node | undefined {
    const letter = this.next();
    switch (letter) {
      case '.':
        return one(anyLetter(flags));
      case '[':
        return one(this.class(flags));
      case '(':
        return this.group(flags);
      case '^':
        return { kind: 'place', holds: (letters, at) => at === 0 || (flags.multiline && letters[at - 1] === '\n') };
      case '$':
        return { kind: 'place', holds: flags.multiline ? atLineEnd : atEnd };
      case '\\':
        return this.escaped(flags);
      case '*':
      case '+':
      case '?':
        throw new PatternError('it has nothing to repeat');
      default:
        return letter === '{' && this.bounds(false) ? this.nothingToRepeat() : one(literal(letter, flags));
    }
  }

  private nothingToRepeat(): never {
    throw new PatternError('it has nothing to repeat');
  }

  private quantified(node: Node, flags: Flags): Node {
    if (flags.verbose) this.skipSpace();
    const bounds = this.quantifier();
    if (!bounds) return node;
    if (node.kind === 'place') this.nothingToRepeat();
    const mode = this.take('?') ? 'lazy' : this.take('+') ? 'possessive' : 'greedy';
    if (flags.verbose) this.skipSpace();
    if (this.quantifier()) throw new PatternError('it repeats a repetition');
    return { kind: 'repeat', node, min: bounds[0], max: bounds[1], mode };
  }

  private quantifier(): readonly [number, number] | undefined {
    if (this.take('*')) return [0, Number.POSITIVE_INFINITY];
    if (this.take('+')) return [1, Number.POSITIVE_INFINITY];
    if (this.take('?')) return [0, 1];
    const before = this.at;
    const bounds = this.take('{') ? this.bounds(true) : undefined;
    if (!bounds) this.at = before;
    return bounds;
  }

  /** The bounds in braces; a brace that begins none is a letter. */
  private bounds(keep: boolean): readonly [number, number] | undefined {
    const [, whole, low, comma, high] =
      /^((\d*)(,?)(\d*)\})/.exec(this.text.slice(this.at, this.at + 24).join('')) ?? [];
    if (whole === undefined || whole === '}') return undefined;
    if (keep) this.at += whole.length;
    const min = low ? Number(low) : 0;
    const max = high ? Number(high) : comma ? Number.POSITIVE_INFINITY : min;
    if (min > max) throw new PatternError('it repeats from a larger number to a smaller one');
    if (min > MOST_REPEATS) throw new PatternError('it repeats too often');
    return [min, max];
  }

  private group(flags: Flags): Node | undefined {
    if (!this.take('?')) return this.captured(flags, undefined);
    const letter = this.next();
    switch (letter) {
      case ':':
        return this.closed(this.choice(flags));
      case '>':
        return { kind: 'atomic', node: this.closed(this.choice(flags)) };
      case '#':
        while (this.next() !== ')');
        return undefined;
      case '=':
      case '!':
        return { kind: 'look', node: this.closed(this.choice(flags)), negative: letter === '!', width: undefined };
      case '<':
        return this.behind(flags);
      case 'P':
        return this.extension(flags);
      case '(':
        return this.conditional(flags);
      default:
        this.at--;
        return this.flagged(flags);
    }
  }

  private captured(flags: Flags, name: string | undefined): Node {
    const index = this.nextGroup++;
    if (name !== undefined) {
      if (this.named.has(name)) throw new PatternError(`it names two groups ${name}`);
      this.named.set(name, index);
    }
    this.open.add(index);
    const node = this.closed(this.choice(flags));
    this.open.delete(index);
    this.groups.set(index, node);
    return { kind: 'group', index, node };
  }

  private extension(flags: Flags): Node {
    if (this.take('<')) return this.captured(flags, this.name('>'));
    if (this.take('=')) return this.reference(this.name(')'), flags);
    throw new PatternError(`it has the unknown extension (?P${this.peek() ?? ''}`);
  }

  private name(end: string): string {
    let name = '';
    for (let letter = this.next(); letter !== end; letter = this.next()) name += letter;
    if (!/^[\p{L}_][\p{L}\p{N}_]*$/u.test(name))
      throw new PatternError(`it has the bad group name ${JSON.stringify(name)}`);
    return name;
  }

  private reference(name: string, flags: Flags): Node {
    const index = this.named.get(name);
    if (index === undefined) throw new PatternError(`it refers to the unknown group ${name}`);
    return this.same(index, flags);
  }

  private same(index: number, { ignoreCase }: Flags): Node {
    if (this.open.has(index)) throw new PatternError('it refers to a group that is still open');
    return { kind: 'same', index, ignoreCase };
  }

  private behind(flags: Flags): Node {
    const negative = this.take('!');
    if (!negative && !this.take('=')) throw new PatternError(`it has the unknown extension (?<${this.peek() ?? ''}`);
    const node = this.closed(this.choice(flags));
    const [least, most] = widthOf(node, this.groups);
    if (least !== most) throw new PatternError('it looks behind by a width that is not fixed');
    return { kind: 'look', node, negative, width: least };
  }

  private conditional(flags: Flags): Node {
    let name = '';
    for (let letter = this.next(); letter !== ')'; letter = this.next()) name += letter;
    const index = /^\d+$/.test(name) ? Number(name) : this.named.get(name);
    if (index === undefined || index < 1 || index >= this.nextGroup)
      throw new PatternError(`it depends on the unknown group ${name}`);
    const yes = this.sequence(flags);
    const no: Node = this.take('|') ? this.sequence(flags) : { kind: 'sequence', parts: [] };
    if (this.peek() === '|') throw new PatternError('it has a condition with more than two branches');
    return this.closed({ kind: 'conditional', index, yes, no });
  }

  private flagged(flags: Flags): Node {
    const [, on = '', off, end] =
      /^([a-zA-Z]*)(?:-([a-zA-Z]+))?([:)])/.exec(this.text.slice(this.at, this.at + 20).join('')) ?? [];
    if (end === undefined) throw new PatternError(`it has the unknown extension (?${this.peek() ?? ''}`);
    // PEFT puts a group before the pattern, and Python accepts flags for the whole only in front of everything.
    if (end === ')') throw new PatternError('its flags are not at the start of the whole expression');
    const changed: Record<keyof Flags, boolean> = { ...flags };
    for (const [letters, value] of [
      [on, true],
      [off ?? '', false],
    ] as const)
      for (const letter of letters) {
        const flag = FLAGS[letter];
        if (flag === undefined || (!value && /[au]/.test(letter)))
          throw new PatternError(`it has the unknown flag ${letter}`);
        if (flag !== null) changed[flag] = value;
        if (letter === 'u') changed.ascii = false;
      }
    this.at += on.length + (off === undefined ? 0 : off.length + 1) + 1;
    return this.closed(this.choice(changed));
  }

  private closed(node: Node): Node {
    if (!this.take(')')) throw new PatternError('it has an open parenthesis');
    return node;
  }

  private escaped(flags: Flags): Node {
    const letter = this.next();
    const place = placeOf(letter, flags);
    if (place) return { kind: 'place', holds: place };
    const own = classOf(letter, flags);
    if (own) return one(own);
    if (!/[1-9]/.test(letter)) return one(literal(this.escapedLetter(letter), flags));
    // Three octal digits are a letter; otherwise the number is that of a group.
    const rest = this.text.slice(this.at, this.at + 2).join('');
    if (/^[0-3]$/.test(letter) && /^[0-7]{2}$/.test(rest)) return one(literal(this.octal(letter), flags));
    let digits = letter;
    if (/^\d/.test(rest)) digits += this.next();
    const index = Number(digits);
    // The second group is the one around the pattern itself.
    if (index >= this.nextGroup) throw new PatternError(`it refers to the unknown group ${index}`);
    if (index === 2) throw new PatternError('it refers to a group that is still open');
    return this.same(index, flags);
  }

  private octal(first: string): string {
    let digits = first;
    while (digits.length < 3 && /^[0-7]$/.test(this.peek() ?? '')) digits += this.next();
    return String.fromCodePoint(Number.parseInt(digits, 8));
  }

  /** The letter for which an escape stands, inside and outside of classes. */
  private escapedLetter(letter: string): string {
    if (letter === '0') return this.octal(letter);
    const control = CONTROLS[letter];
    if (control !== undefined) return control;
    const width = { x: 2, u: 4, U: 8 }[letter];
    if (width !== undefined) {
      const digits = this.text.slice(this.at, this.at + width).join('');
      const code = Number.parseInt(digits, 16);
      if (!/^[0-9a-fA-F]+$/.test(digits) || digits.length !== width || code > 0x10ffff)
        throw new PatternError(`it has the incomplete escape \\${letter}${digits}`);
      this.at += width;
      return String.fromCodePoint(code);
    }
    if (/^[A-Za-z0-9]$/.test(letter)) throw new PatternError(`it has the escape \\${letter}, which is not supported`);
    return letter;
  }

  private class(flags: Flags): Accepts {
    const inverted = this.take('^');
    const sets: Accepts[] = [];
    for (let first = true; first || this.peek() !== ']'; first = false) {
      const low = this.classItem(flags);
      if (this.peek() !== '-' || this.text[this.at + 1] === ']') {
        sets.push(typeof low === 'string' ? (letter) => letter === low : low);
        continue;
      }
      this.at++;
      const high = this.classItem(flags);
      if (typeof low !== 'string' || typeof high !== 'string' || low.codePointAt(0)! > high.codePointAt(0)!)
        throw new PatternError('it has a bad range in brackets');
      sets.push(range(low, high));
    }
    this.at++;
    return anyOf(sets, inverted, flags);
  }

  private classItem(flags: Flags): string | Accepts {
    const letter = this.next();
    if (letter !== '\\') return letter;
    const escaped = this.next();
    return escaped === 'b' ? '\b' : (classOf(escaped, flags) ?? this.escapedLetter(escaped));
  }

  private skipSpace(): void {
    for (;;) {
      if (/^[ \t\n\r\f\v]$/.test(this.peek() ?? '')) this.at++;
      else if (this.peek() === '#') while (this.at < this.text.length && this.text[this.at++] !== '\n');
      else return;
    }
  }

  private peek(): string | undefined {
    return this.text[this.at];
  }

  private next(): string {
    const letter = this.text[this.at++];
    if (letter === undefined) throw new PatternError('it ends too early');
    return letter;
  }

  private take(letter: string): boolean {
    if (this.peek() !== letter) return false;
    this.at++;
    return true;
  }
}

const one = (accepts: Accepts): Node => ({ kind: 'letters', accepts: [accepts] });

const atEnd: PlaceTest = (letters, at) => at === letters.length || (at === letters.length - 1 && letters[at] === '\n');
const atLineEnd: PlaceTest = (letters, at) => at === letters.length || letters[at] === '\n';

function placeOf(letter: string, flags: Flags): PlaceTest | undefined {
  const boundary: PlaceTest = (letters, at) => isWord(letters[at - 1], flags) !== isWord(letters[at], flags);
  switch (letter) {
    case 'A':
      return (_, at) => at === 0;
    case 'Z':
      return (letters, at) => at === letters.length;
    case 'b':
      return boundary;
    case 'B':
      return (letters, at) => !boundary(letters, at);
    default:
      return undefined;
  }
}
