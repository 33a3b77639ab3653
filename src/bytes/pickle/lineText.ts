import { narrow, PickleFault } from './reader.ts';

/*
 * Texts and numbers of protocol 0, which stand in lines. Escapes are undone byte by byte: a regular expression with a
 * callback takes a hundred bytes of memory for each.
 */

const BACKSLASH = 92;

/** A quoted string of Latin-1 characters, as repr() writes it. */
export function unquoted(line: Buffer): string {
  const text = trimmed(line);
  const [quote] = text;
  if (text.length < 2 || (quote !== 0x27 && quote !== 0x22) || text.at(-1) !== quote)
    throw new PickleFault('one of its strings has no quotes');
  const inner = text.subarray(1, -1);
  if (!inner.includes(BACKSLASH)) return inner.toString('latin1');
  const out = Buffer.alloc(inner.length);
  let length = 0;
  for (let at = 0; at < inner.length; at++) {
    let byte = inner[at]!;
    if (byte === BACKSLASH && at + 1 < inner.length) {
      const code = inner[++at]!;
      const value = code === 0x78 ? hexadecimal(inner, at + 1, 2) : undefined;
      if (value !== undefined) at += 2;
      byte = value ?? SHORT.get(code) ?? code;
    }
    out[length++] = byte;
  }
  return out.toString('latin1', 0, length);
}

const SHORT: ReadonlyMap<number, number> = new Map([
  [0x6e, 10],
  [0x72, 13],
  [0x74, 9],
]);

/** A string in Python's raw-unicode-escape encoding: Latin-1 with \u and \U escapes. */
export function rawUnicode(line: Buffer): string {
  if (!line.includes(BACKSLASH)) return line.toString('latin1');
  const out = Buffer.alloc(2 * line.length);
  let length = 0;
  for (let at = 0; at < line.length; at++) {
    let point: number = line[at]!;
    const digits = line[at + 1] === 0x75 ? 4 : line[at + 1] === 0x55 ? 8 : 0;
    const escaped = point === BACKSLASH && digits > 0 ? hexadecimal(line, at + 2, digits) : undefined;
    if (escaped !== undefined && escaped <= 0x10ffff) {
      point = escaped;
      at += 1 + digits;
    }
    if (point > 0xffff) {
      length = out.writeUInt16LE(0xd800 + ((point - 0x10000) >> 10), length);
      point = 0xdc00 + ((point - 0x10000) & 0x3ff);
    }
    length = out.writeUInt16LE(point, length);
  }
  return out.toString('utf16le', 0, length);
}

export function decimal(line: Buffer): number | bigint {
  const text = trimmed(line).toString('latin1', 0, 410);
  if (!/^[-+]?\d{1,400}L?$/.test(text)) throw new PickleFault('one of its integers is not a number');
  const digits = text.replace('L', '');
  return digits.length < 16 ? Number(digits) : narrow(BigInt(digits.replace('+', '')));
}

function hexadecimal(bytes: Buffer, start: number, digits: number): number | undefined {
  let value = 0;
  for (let at = start; at < start + digits; at++) {
    const byte = bytes[at] ?? 0;
    const letter = byte | 0x20;
    const digit = byte >= 0x30 && byte <= 0x39 ? byte - 0x30 : letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
    if (digit < 0) return undefined;
    value = value * 16 + digit;
  }
  return value;
}

function trimmed(line: Buffer): Buffer {
  let [start, end] = [0, line.length];
  while (start < end && line[start]! <= 32) start++;
  while (end > start && line[end - 1]! <= 32) end--;
  return line.subarray(start, end);
}
