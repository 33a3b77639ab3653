import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { RankscopeError } from '../../base/errors.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import type { CompressRequest } from '../../model/compression.ts';
import type { Fingerprint } from './partialFolder.ts';

/**
 * What a compression is of: the checkpoint by its files' names, sizes and times, the text by its content, and the
 * options that its result depends on.
 */
export async function fingerprintOf({ files }: Checkpoint, request: CompressRequest): Promise<Fingerprint> {
  const { text, ids, keep, context, tokens, from, minutes, refine = true, steps, rate, seed = 0, evaluate } = request;
  const identity = files.map(({ path, size, mtimeMs }) => [basename(path), size, mtimeMs]);
  const source = text ?? ids;
  return {
    checkpoint: createHash('sha256').update(JSON.stringify(identity)).digest('hex'),
    text: source === undefined ? 'written by the model' : await digestOfFile(source),
    'windows for measuring': evaluate === undefined ? 'of the text' : 'of another text',
    keep,
    context: context ?? null,
    tokens: tokens ?? null,
    'measured losses':
      from === undefined
        ? 'of this run'
        : createHash('sha256').update(JSON.stringify(from.sensitivities)).digest('hex'),
    minutes: minutes ?? null,
    refine,
    steps: steps ?? null,
    rate: rate ?? null,
    seed,
  };
}

async function digestOfFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(file), hash);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const missing = code === 'ENOENT';
    const found = missing ? 'there is no such file' : code === 'EISDIR' ? 'this is a folder' : message;
    throw new RankscopeError(missing ? 'not-found' : 'unreadable', file, found, 'Name a text', { cause: error });
  }
  return hash.digest('hex');
}
