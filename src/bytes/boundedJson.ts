import { RankscopeError } from '../base/errors.ts';
import type { Allowance } from './allowance.ts';
import { MAX_JSON_DEPTH } from './limits.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * The value of a JSON text, built only if the allowance pays for its memory: three bytes (`[],`) become 40, and 60
 * megabytes of them a gigabyte.
 * @throws RankscopeError 'malformed', 'too-large'
 */
export function boundedJson(file: string, bytes: Uint8Array, allowance: Allowance): unknown {
  const malformed = (found: string) =>
    new RankscopeError('malformed', file, found, 'It is damaged: copy or download it again');
  const { memory, depth } = measure(bytes);
  if (depth > MAX_JSON_DEPTH) throw malformed(`its brackets are nested deeper than ${MAX_JSON_DEPTH}`);
  allowance.spend(memory);
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw malformed(`it is not valid JSON (${(error as Error).message})`);
  }
}

/** Memory that V8 takes for an object, a list, the slot of an item, and a key with its value. */
const MEMORY: Readonly<Record<string, number>> = { '{': 64, '[': 48, ',': 16, ':': 100 };

/** An upper estimate of the memory that JSON.parse takes for a text, and its deepest nesting. */
function measure(bytes: Uint8Array): { memory: number; depth: number } {
  const table = Uint8Array.from({ length: 256 }, (_, byte) => MEMORY[String.fromCharCode(byte)] ?? 0);
  // The text is held as bytes and as a string, and most of it a third time in the strings of the value.
  let memory = 3 * bytes.length;
  let [depth, deepest] = [0, 0];
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte === QUOTE) {
      for (at++; at < bytes.length && bytes[at] !== QUOTE; at++) if (bytes[at] === BACKSLASH) at++;
      continue;
    }
    memory += table[byte]!;
    if (byte === 0x5b || byte === 0x7b) deepest = Math.max(deepest, ++depth);
    else if (byte === 0x5d || byte === 0x7d) depth--;
  }
  return { memory, depth: deepest };
}

const [QUOTE, BACKSLASH] = [0x22, 0x5c];
