import { MAX_JSON_DEPTH, MAX_SKIPPED_VALUES } from './limits.ts';

/** A fault in a JSON text. The caller adds the file's name. */
export class JsonFault extends Error {}

/**
 * Reads JSON from UTF-8 bytes piece by piece, as the caller expects it. Nothing is built that was not asked for, so the
 * memory of a hostile text is bounded by the caller; integers are exact or refused, where JSON.parse rounds them.
 */
export class JsonCursor {
  private at = 0;
  private skipped = 0;

  constructor(
    private readonly bytes: Buffer,
    /** Pays for the memory of a text before it is built; throws if that is too much. */
    private readonly spend: (bytes: number) => void,
  ) {}

  /** Calls `member` with each key of an object; `member` must consume the value. */
  object(member: (key: string) => void): void {
    this.take(OPEN_BRACE, 'an object');
    if (this.takeIf(CLOSE_BRACE)) return;
    do {
      const key = this.string();
      this.take(COLON, 'a colon');
      member(key);
    } while (this.takeIf(COMMA));
    this.take(CLOSE_BRACE, 'a comma or the end of an object');
  }

  /** Reads an object if one begins here; otherwise returns false and consumes nothing. */
  objectIfThere(member: (key: string) => void): boolean {
    this.skipSpace();
    if (this.bytes[this.at] !== OPEN_BRACE) return false;
    this.object(member);
    return true;
  }

  /** Calls `item` before each item of an array; `item` must consume it. */
  array(item: () => void): void {
    this.take(OPEN_BRACKET, 'an array');
    if (this.takeIf(CLOSE_BRACKET)) return;
    do item();
    while (this.takeIf(COMMA));
    this.take(CLOSE_BRACKET, 'a comma or the end of an array');
  }

  string(): string {
    this.take(QUOTE, 'a string');
    const start = this.at;
    let escaped = false;
    let seen = 0;
    for (;;) {
      const byte = this.bytes[this.at];
      if (byte === undefined) throw this.fault('the end of a string');
      if (byte === QUOTE) break;
      if (byte < SPACE) throw this.fault('no control character in a string');
      seen |= byte;
      if (byte === BACKSLASH) {
        escaped = true;
        this.at++;
      }
      this.at++;
    }
    // Two bytes per character, and twice as much again to resolve escapes.
    this.spend((escaped ? 6 : 2) * (this.at - start));
    const content = this.bytes.toString(seen < 128 ? 'latin1' : 'utf8', start, this.at++);
    return escaped ? this.unescape(content) : content;
  }

  /** Any value as text: the contents of a string, or anything else as it is written. */
  text(): string {
    this.skipSpace();
    if (this.bytes[this.at] === QUOTE) return this.string();
    const start = this.at;
    this.skip();
    this.spend(2 * (this.at - start));
    return this.bytes.toString('utf8', start, this.at);
  }

  /** A whole number from 0 to 2^53 - 1, written without fraction or exponent. */
  naturalNumber(): number {
    this.skipSpace();
    const digits = this.shortNumber();
    if (digits !== undefined) return digits;
    const literal = this.numberLiteral();
    if (!/^(0|[1-9][0-9]*)$/.test(literal)) throw this.fault('a whole number that is not negative', literal);
    const value = Number(literal);
    if (!Number.isSafeInteger(value)) throw this.fault('a number below 2^53', literal);
    return value;
  }

  /** Skips a value of any kind, checking its syntax. */
  skip(depth = 0): void {
    if (depth > MAX_JSON_DEPTH) throw this.fault(`at most ${MAX_JSON_DEPTH} nested brackets`);
    if (++this.skipped > MAX_SKIPPED_VALUES) throw this.fault(`at most ${MAX_SKIPPED_VALUES} values of unknown keys`);
    this.skipSpace();
    const byte = this.bytes[this.at];
    if (byte === QUOTE) this.string();
    else if (byte === OPEN_BRACE) this.object(() => this.skip(depth + 1));
    else if (byte === OPEN_BRACKET) this.array(() => this.skip(depth + 1));
    else if (byte === MINUS || (byte !== undefined && byte >= ZERO && byte <= NINE)) {
      const literal = this.numberLiteral();
      if (!/^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$/.test(literal)) throw this.fault('a number', literal);
    } else {
      const word = ['true', 'false', 'null'].find((each) =>
        this.bytes.toString('latin1', this.at, this.at + 5).startsWith(each),
      );
      if (!word) throw this.fault('a value');
      this.at += word.length;
    }
  }

  /** Checks that only white space is left. */
  end(): void {
    this.skipSpace();
    if (this.at < this.bytes.length) throw this.fault('the end of the text');
  }

  fault(expected: string, found?: string): JsonFault {
    const what = found || this.excerpt();
    return new JsonFault(`at byte ${this.at} of the JSON text ${expected} is expected, but there is ${what}`);
  }

  private excerpt(): string {
    if (this.at >= this.bytes.length) return 'its end';
    return JSON.stringify(this.bytes.toString('latin1', this.at, this.at + 12));
  }

  private unescape(content: string): string {
    let text: string;
    try {
      text = JSON.parse(`"${content}"`) as string;
    } catch {
      throw this.fault('a valid escape in the string before');
    }
    if (/\p{Surrogate}/u.test(text)) throw this.fault('no lone surrogate in the string before');
    return text;
  }

  /** A plain number of at most 15 digits, which cannot exceed 2^53; undefined, with nothing consumed, for any other. */
  private shortNumber(): number | undefined {
    let value = 0;
    let at = this.at;
    for (; at < this.at + 16; at++) {
      const digit = this.bytes[at]! - ZERO;
      if (!(digit >= 0 && digit <= 9)) break;
      value = value * 10 + digit;
    }
    const length = at - this.at;
    if (
      length === 0 ||
      length === 16 ||
      (length > 1 && this.bytes[this.at] === ZERO) ||
      NUMBER_BYTES[this.bytes[at] ?? 0]
    )
      return undefined;
    this.at = at;
    return value;
  }

  private numberLiteral(): string {
    const start = this.at;
    while (NUMBER_BYTES[this.bytes[this.at] ?? 0]) this.at++;
    // Nobody writes longer numbers, and without a bound such a number would appear in full in an error message.
    return this.bytes.toString('latin1', start, Math.min(this.at, start + 400));
  }

  private take(byte: number, expected: string): void {
    if (!this.takeIf(byte)) throw this.fault(expected);
  }

  private takeIf(byte: number): boolean {
    this.skipSpace();
    if (this.bytes[this.at] !== byte) return false;
    this.at++;
    return true;
  }

  private skipSpace(): void {
    for (;;) {
      const byte = this.bytes[this.at];
      if (byte !== SPACE && byte !== 10 && byte !== 13 && byte !== 9) return;
      this.at++;
    }
  }
}

const [SPACE, QUOTE, COMMA, MINUS, ZERO, NINE, COLON] = [0x20, 0x22, 0x2c, 0x2d, 0x30, 0x39, 0x3a] as const;
const [OPEN_BRACKET, BACKSLASH, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [0x5b, 0x5c, 0x5d, 0x7b, 0x7d] as const;
const NUMBER_BYTES = Array.from({ length: 256 }, (_, byte) => '-+.0123456789eE'.includes(String.fromCharCode(byte)));
