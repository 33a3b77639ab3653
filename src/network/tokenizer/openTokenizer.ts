import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { RankscopeError } from '../../base/errors.ts';
import { Allowance } from '../../bytes/allowance.ts';
import { boundedJson } from '../../bytes/boundedJson.ts';
import { MAX_JSON_FILE, MAX_TOKENIZER_MEMORY, MAX_VOCABULARY_BYTES } from '../../bytes/limits.ts';
import { attempt, openFileSource } from '../../bytes/source/fileSource.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { configurationBeside } from '../../checkpoint/configuration.ts';
import { ggufTokenizer } from './ggufTokenizer.ts';
import { llama2cTokenizer } from './llama2cTokenizer.ts';
import { sentencePieceModel } from './sentencePieceModel.ts';
import type { Tokenizer } from './tokenizer.ts';
import { tokenizerOfJson } from './tokenizerJson.ts';

/** The files that are looked for beside a checkpoint, the most faithful first; `tok512.bin` is llama2.c's name. */
const NAMES = [/^tokenizer\.json$/i, /^tokenizer\.model$/i, /^tok(enizer|\d+)\.bin(\.|$)/i] as const;

/**
 * The tokenizer of a checkpoint: a GGUF file's own, or else the one beside the files.
 * @throws RankscopeError 'not-found' if there is none; 'malformed', 'unsupported', 'too-large', 'cancelled'
 */
export async function openTokenizer(checkpoint: Checkpoint, signal?: AbortSignal): Promise<Tokenizer> {
  const own = await ggufTokenizer(checkpoint, signal);
  if (own) return own;
  const folder = dirname(checkpoint.files[0]!.path);
  const names = (await attempt(folder, () => readdir(folder))).sort();
  const name = NAMES.flatMap((pattern) => names.filter((each) => pattern.test(each)))[0];
  if (name !== undefined) return openTokenizerFile(join(folder, name), signal);
  throw new RankscopeError(
    'not-found',
    folder,
    'the checkpoint has no tokenizer: no vocabulary of its own, and no tokenizer.json, tokenizer.model or ' +
      'tokenizer.bin beside it',
    'Copy it there, or encode the text with another tool and name the file of ids with --ids',
  );
}

/** The tokenizer in a file of its own: a `tokenizer.json`, a SentencePiece model or llama2.c's `tokenizer.bin`. */
export async function openTokenizerFile(file: string, signal?: AbortSignal): Promise<Tokenizer> {
  const bytes = await wholeFile(file, signal);
  const allowance = new Allowance(file, MAX_TOKENIZER_MEMORY);
  const config = await configurationBeside(dirname(file), 'tokenizer_config.json', { allowance, signal });
  if (/\.json$/i.test(file)) return tokenizerOfJson(file, boundedJson(file, bytes, allowance), config);
  if (/\.model$/i.test(file)) return sentencePieceModel(file, bytes, config?.add_bos_token !== false);
  if (/\.bin(\.|$)/i.test(basename(file))) return llama2cTokenizer(file, bytes);
  throw new RankscopeError(
    'unsupported',
    file,
    'the name does not say what kind of tokenizer it is',
    'Name a tokenizer.json, a tokenizer.model of SentencePiece or a tokenizer.bin of llama2.c',
  );
}

async function wholeFile(file: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const source = await openFileSource(file);
  try {
    const most = Math.min(MAX_JSON_FILE, MAX_VOCABULARY_BYTES);
    if (source.size > most)
      throw new RankscopeError('too-large', file, `it has ${source.size} bytes; at most ${most} are read`);
    return await source.read(0, source.size, signal);
  } finally {
    await source.close();
  }
}
