import { randomUUID } from 'node:crypto';
import { open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Writable } from 'node:stream';
import { RankscopeError, throwIfCancelled } from '../base/errors.ts';

/** Writes everything before it ends: a pipe is waited for, and a reader that went away (`| head`) ends it quietly. */
export async function writeAll(stream: Writable, pieces: Iterable<string>): Promise<void> {
  for (const piece of inChunks(pieces)) {
    const failure = await new Promise<NodeJS.ErrnoException | null | undefined>((done) => stream.write(piece, done));
    if (failure?.code === 'EPIPE') return;
    if (failure) throw new RankscopeError('write-failed', 'standard output', failure.message);
  }
}

/**
 * Writes a file beside `file` and renames it when it is whole.
 * @throws RankscopeError 'write-failed'; also when `file` exists and `force` is not set: it may be somebody's work.
 */
export async function writeFileWhole(
  file: string,
  pieces: Iterable<string>,
  { force, signal }: { readonly force: boolean; readonly signal?: AbortSignal },
): Promise<void> {
  await refuseExisting(file, force);
  const beside = join(dirname(file), `.${basename(file)}.${randomUUID()}.tmp`);
  try {
    const handle = await open(beside, 'wx');
    try {
      for (const piece of inChunks(pieces)) {
        throwIfCancelled(signal, file);
        await handle.writeFile(piece);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(beside, file);
  } catch (error) {
    await rm(beside, { force: true }).catch(() => undefined);
    if (error instanceof RankscopeError) throw error;
    throw new RankscopeError('write-failed', file, reasonOf(error as NodeJS.ErrnoException), REMEDY);
  }
}

const REMEDY = 'Name a file in a folder that can be written';

/** What went wrong, without the name of the temporary file, which nobody knows. */
function reasonOf({ code = '', message }: NodeJS.ErrnoException): string {
  const reasons: Readonly<Record<string, string>> = {
    EACCES: 'its folder may not be written to',
    EPERM: 'its folder may not be written to',
    EROFS: 'its folder is on a file system that cannot be written to',
    ENOSPC: 'the disk is full',
    EDQUOT: 'no more may be written to this disk',
  };
  return reasons[code] ?? `it could not be written (${code || message})`;
}

/** Before any work is done for it; `input` is replaced by no word of force, under whatever link it is reached. */
export async function refuseExisting(file: string, force: boolean, input?: string): Promise<void> {
  const found = await stat(file, { bigint: true }).catch(() => undefined);
  if (!found) {
    const folder = dirname(file);
    const isThere = await stat(folder).catch(() => undefined);
    if (!isThere) throw new RankscopeError('write-failed', file, `there is no folder ${folder}`, REMEDY);
    return;
  }
  if (found.isDirectory()) {
    throw new RankscopeError('wrong-use', file, 'a folder has this name', 'Name a file inside of it');
  }
  if (input !== undefined) await refuseInput(file, input);
  if (!force) {
    throw new RankscopeError('wrong-use', file, 'it exists already', 'Name another file, or add --force to replace it');
  }
  if (await isBinary(file)) {
    throw new RankscopeError('wrong-use', file, 'it is no text, and --force replaces only texts', 'Name another file');
  }
}

/** A file that is read is not written, under whatever link it is reached. */
export async function refuseInput(file: string, input: string): Promise<void> {
  const [found, read] = await Promise.all(
    [file, input].map((each) => stat(each, { bigint: true }).catch(() => undefined)),
  );
  if (!found || !read || found.ino !== read.ino || found.dev !== read.dev) return;
  throw new RankscopeError('wrong-use', file, 'this is the file that is read', 'Name another file');
}

/** Whether a file begins like a checkpoint: a shard of the input must not be lost by a slip of the pen. */
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

/** The JSON text of an object in pieces: the elements of its lists one by one, so that no text is too long for a string. */
export function* jsonPieces(object: Readonly<Record<string, unknown>>): Generator<string> {
  let before = '{';
  for (const [key, value] of Object.entries(object)) {
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

/** Joins small pieces, so that not every one is a system call. */
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
