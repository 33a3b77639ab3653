import { f32s, ggufBytes, text, u32, u64 } from '../../formats/gguf/ggufBytes.ts';

/** Pieces of a small SentencePiece vocabulary with scores and types; the tokens of all bytes follow the first three. */
const BYTES = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
const LEARNED = ['▁t', 'he', '▁the', '▁', 't', 'h', 'e', 'c', 'a'];
export const PIECES: readonly string[] = ['<unk>', '<s>', '</s>', ...BYTES, ...LEARNED];
export const SCORES: readonly number[] = PIECES.map((_, id) => (id < 259 ? 0 : 259 - id));
export const TYPES: readonly number[] = PIECES.map((_, id) => (id < 259 ? ([2, 3, 3][id] ?? 6) : 1));

export const texts = (list: readonly string[]): Buffer =>
  Buffer.concat([u32(8), u64(list.length), ...list.map((each) => text(each))]);
export const integers = (list: readonly number[]): Buffer =>
  Buffer.concat([u32(5), u64(list.length), ...list.map((each) => u32(each))]);
export const floats = (list: readonly number[]): Buffer => Buffer.concat([u32(6), u64(list.length), f32s(...list)]);

type Entry = readonly [key: string, type: number, value: Buffer];

/** A GGUF file with this in its metadata, under `tokenizer.ggml.`. */
export function ggufWith(entries: readonly Entry[]): Buffer {
  return ggufBytes({
    metadata: entries.map(([key, type, value]) => [`tokenizer.ggml.${key}`, type, value] as const),
    tensors: [{ name: 'token_embd.weight', dimensions: [2, 2], type: 0, data: f32s(1, 2, 3, 4) }],
  });
}

/** A GGUF file with the vocabulary above. */
export function llamaGguf(more: readonly Entry[] = []): Buffer {
  return ggufWith([
    ['model', 8, text('llama')],
    ['tokens', 9, texts(PIECES)],
    ['scores', 9, floats(SCORES)],
    ['token_type', 9, integers(TYPES)],
    ...more,
  ]);
}

/** A GGUF file with a byte-level vocabulary of four letters and a few merges; the last token is special. */
export function gpt2Gguf(pre: string, more: readonly Entry[] = []): Buffer {
  return ggufWith([
    ['model', 8, text('gpt2')],
    ['pre', 8, text(pre)],
    ['tokens', 9, texts(['a', 'b', 'Ġ', 'ab', 'Ġab', '1', '11', '<|end|>'])],
    ['merges', 9, texts(['a b', 'Ġ ab', '1 1'])],
    ['token_type', 9, integers([1, 1, 1, 1, 1, 1, 1, 3])],
    ['bos_token_id', 4, u32(7)],
    ...more,
  ]);
}

/** The vocabulary above as llama2.c's `tokenizer.bin`. */
export function llama2cBytes(): Buffer {
  const entries = PIECES.map((piece, id) => {
    const bytes = Buffer.from(id === 1 || id === 2 ? `\n${piece}\n` : piece.replaceAll('▁', ' '));
    return Buffer.concat([f32s(SCORES[id]!), u32(bytes.length), bytes]);
  });
  return Buffer.concat([u32(7), ...entries]);
}

const field = (number: number, content: Buffer) =>
  Buffer.concat([Buffer.from([(number << 3) | 2, ...lengthOf(content.length)]), content]);
const lengthOf = (length: number): number[] => (length < 128 ? [length] : [(length & 127) | 128, length >> 7]);

/** The vocabulary above as SentencePiece's `tokenizer.model`, of a model type such as 2 (BPE). */
export function sentencePieceBytes(modelType = 2): Buffer {
  const entries = PIECES.map((piece, id) =>
    field(
      1,
      Buffer.concat([
        field(1, Buffer.from(piece)),
        Buffer.from([0x15]),
        f32s(SCORES[id]!),
        Buffer.from([0x18, TYPES[id]!]),
      ]),
    ),
  );
  // Begin is token 1, and repeated spaces stay.
  return Buffer.concat([...entries, field(2, Buffer.from([0x18, modelType])), field(3, Buffer.from([0x20, 0]))]);
}
