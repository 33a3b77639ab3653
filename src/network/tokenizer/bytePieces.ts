const UTF8 = new TextEncoder();

/**
 * GPT-2's alphabet of bytes: printable characters stand for themselves, all others for those from U+0100 on
 * (Radford et al. 2019).
 */
const ALPHABET: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    return String.fromCharCode(printable ? byte : next++);
  });
})();

/** The UTF-8 bytes of a text in GPT-2's alphabet. */
export function inByteAlphabet(text: string): string {
  let spelled = '';
  for (const byte of UTF8.encode(text)) spelled += ALPHABET[byte]!;
  return spelled;
}

const BYTES: ReadonlyMap<string, number> = new Map(ALPHABET.map((character, byte) => [character, byte]));

/** The bytes that a token in GPT-2's alphabet stands for; undefined if it has other characters. */
export function bytesInAlphabet(token: string): Uint8Array | undefined {
  const bytes = Array.from(token, (character) => BYTES.get(character));
  return bytes.every((byte) => byte !== undefined) ? Uint8Array.from(bytes) : undefined;
}

/** The tokens that stand for single bytes in SentencePiece: `<0x00>` to `<0xFF>`. */
const BYTE_TOKENS: readonly string[] = Array.from(
  { length: 256 },
  (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
);

/** The ids of the tokens of a character's bytes; undefined if one is missing. */
export function byteFallback(character: string, vocabulary: ReadonlyMap<string, number>): number[] | undefined {
  const ids: number[] = [];
  for (const byte of UTF8.encode(character)) {
    const id = vocabulary.get(BYTE_TOKENS[byte]!);
    if (id === undefined) return undefined;
    ids.push(id);
  }
  return ids;
}

/** Whether a token stands for a single byte. */
export function isByteToken(token: string): boolean {
  return /^<0x[0-9A-F]{2}>$/.test(token);
}

/** The byte that a token stands for; undefined for all others. */
export function byteOfToken(token: string): number | undefined {
  const [, digits] = /^<0x([0-9A-F]{2})>$/i.exec(token) ?? [];
  return digits === undefined ? undefined : Number.parseInt(digits, 16);
}
