import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Case, valuesOf, writeDecoder } from '../../network/decoders.ts';

const CASES = JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as Case[];
/** A small random LLaMA with 40 tokens and a context of 64. */
export const LLAMA = CASES.find(({ kind }) => kind === 'llama')!;

/** Each letter is a token, and the space; the first three ids are special. */
const LETTERS = ['<unk>', '<s>', '</s>', ...' abcdefghijklmnopqrstuvwxyz'];
export const TOKENIZER = {
  added_tokens: ['<s>', '</s>'].map((content, k) => ({ content, id: 1 + k, special: true, normalized: false })),
  pre_tokenizer: null,
  normalizer: null,
  decoder: { type: 'Fuse' },
  model: { type: 'BPE', vocab: Object.fromEntries(LETTERS.map((letter, id) => [letter, id])), merges: [] },
};

export interface ModelFiles {
  readonly config?: object;
  /** Written beside it: by default a tokenizer.json of letters. */
  readonly files?: Readonly<Record<string, object>>;
  readonly values?: (name: string, shape: readonly number[]) => readonly number[];
}

/** Writes the model into `folder`, and returns the path of its weights. */
export function writeModel(
  folder: string,
  { config = {}, files = { 'tokenizer.json': TOKENIZER }, values }: ModelFiles = {},
): string {
  const path = writeDecoder(
    folder,
    // No end token, unless a test names one.
    { ...LLAMA, config: { ...LLAMA.config, eos_token_id: null, ...config } },
    values ?? ((name, shape) => valuesOf(LLAMA.seed, name, shape)),
  );
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(dirname(path), name), JSON.stringify(content));
  return path;
}
