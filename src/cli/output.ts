import { open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Writable } from 'node:stream';
import { RankscopeError, throwIfCancelled } from '../base/errors.ts';
import { isSameFile, writeWhole } from '../files/wholeFile.ts';

/**
 * Resolves once everything is written, at the pace of the reader of a pipe; a reader that closes it (`| head`) is not
 * an error.
 */
export async function writeAll(stream: Writable, pieces: Iterable<string>): Promise<void> {
  for (const piece of inChunks(pieces)) {
    const failure = await new Promise<NodeJS.ErrnoException | null | undefined>((done) => stream.write(piece, done));
    if (failure?.code === 'EPIPE') return;
    if (failure) throw new RankscopeError('write-failed', 'standard output', failure.message);
  }
}

/**
 * Writes a text file with `writeWhole`.
 * @throws RankscopeError 'write-failed'; 'wrong-use' if `file` exists and `force` is not set; 'cancelled'.
 */
export async function writeTextFile(
  file: string,
  pieces: Iterable<string>,
  { force, signal }: { readonly force: boolean; readonly signal?: AbortSignal },
): Promise<void> {
  await refuseExisting(file, force);
  try {
    await writeWhole(file, { overwrite: force }, async (append) => {
      for (const piece of inChunks(pieces)) {
        throwIfCancelled(signal, file);
        await append(piece);
      }
    });
  } catch (error) {
    if (error instanceof RankscopeError) throw error;
    throw new RankscopeError('write-failed', file, (error as Error).message, '', { cause: error });
  }
}

/**
 * Checks, before any work is done, that a result may be written to `file`: `input` is never replaced, even
 * through a link, and any other file only with `force`.
 * @throws RankscopeError 'wrong-use', or 'write-failed' if the folder is missing.
 */
export async function refuseExisting(file: string, force: boolean, input?: string): Promise<void> {
  const found = await stat(file).catch(() => undefined);
  if (!found) {
    const folder = dirname(file);
    if (await stat(folder).catch(() => undefined)) return;
    const remedy = 'Name a file in a folder that can be written';
    throw new RankscopeError('write-failed', file, `there is no folder ${folder}`, remedy);
  }
  if (found.isDirectory()) {
    throw new RankscopeError('wrong-use', file, 'a folder has this name', 'Name a file inside it');
  }
  if (input !== undefined) await refuseInput(file, input);
  if (!force) {
    throw new RankscopeError(
      'wrong-use',
      file,
      'the file already exists',
      'Name another file, or add --force to replace it',
    );
  }
  if (await isBinary(file)) {
    throw new RankscopeError(
      'wrong-use',
      file,
      'it is not a text file, and --force replaces only text files',
      'Name another file',
    );
  }
}

/** @throws RankscopeError 'wrong-use' if `file` is `input`, even through a link. */
export async function refuseInput(file: string, input: string): Promise<void> {
  if (!(await isSameFile(file, input))) return;
  throw new RankscopeError('wrong-use', file, 'this is the input file', 'Name another file');
}

/** Whether a file starts with binary data, as a checkpoint does: a mistyped name must not replace a shard. */
async function isBinary(file: string): Promise<boolean> {
  const handle = await open(file).catch(() => undefined);
  if (!handle) return false;
  try {
    const head = Buffer.alloc(64);
    const { bytesRead } = await handle.read(head, 0, head.length, 0);
    return head.subarray(0, bytesRead).includes(0);
  } finally {
    await handle.close();
  }
}

/**
 * The JSON text of an object in pieces, one for each element of its lists: the whole text may be too long for a string.
 */
export function* jsonPieces(object: object): Generator<string> {
  let before = '{';
  for (const [key, value] of Object.entries(object) as [string, unknown][]) {
    if (value === undefined) continue;
    yield `${before}${JSON.stringify(key)}:`;
    before = ',';
    if (Array.isArray(value)) {
      let between = '[';
      for (const element of value) {
        yield between + JSON.stringify(element);
        between = ',\n';
      }
      yield value.length === 0 ? '[]' : ']';
    } else {
      yield JSON.stringify(value);
    }
  }
  yield before === '{' ? '{}\n' : '}\n';
}

const CHUNK_CHARACTERS = 1 << 16;

/** Joins small pieces, to save system calls. */
function* inChunks(pieces: Iterable<string>): Generator<string> {
  let chunk = '';
  for (const piece of pieces) {
    chunk += piece;
    if (chunk.length < CHUNK_CHARACTERS) continue;
    yield chunk;
    chunk = '';
  }
  if (chunk !== '') yield chunk;
}
