import { basename } from 'node:path';
import { RankscopeError } from '../../base/errors.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { digestOf, digestOfFile } from '../../files/digest.ts';
import type { Fingerprint } from '../../files/unfinished.ts';
import type { CompressRequest } from '../../model/compression.ts';

/**
 * What a compression is of: the checkpoint by its files' names, sizes and times, the text by its content, and the
 * options that its result depends on.
 */
export async function fingerprintOf({ files }: Checkpoint, request: CompressRequest): Promise<Fingerprint> {
  const { text, ids, keep, context, tokens, from, minutes, refine = true, steps, rate, seed = 0, evaluate } = request;
  const identity = files.map(({ path, size, mtimeMs }) => [basename(path), size, mtimeMs]);
  const source = text ?? ids;
  return {
    checkpoint: digestOf(identity),
    text: source === undefined ? 'written by the model' : await digestOfText(source),
    'windows for measuring': evaluate === undefined ? 'of the text' : 'of another text',
    keep,
    context: context ?? null,
    tokens: tokens ?? null,
    'measured losses': from === undefined ? 'of this run' : digestOf(from.sensitivities),
    minutes: minutes ?? null,
    refine,
    steps: steps ?? null,
    rate: rate ?? null,
    seed,
  };
}

async function digestOfText(file: string): Promise<string> {
  try {
    return await digestOfFile(file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const missing = code === 'ENOENT';
    const found = missing ? 'there is no such file' : code === 'EISDIR' ? 'this is a folder' : message;
    throw new RankscopeError(missing ? 'not-found' : 'unreadable', file, found, 'Name a text', { cause: error });
  }
}
