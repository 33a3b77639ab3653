import { randomUUID } from 'node:crypto';
import { open, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
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
  const beside = path.join(path.dirname(file), `.${path.basename(file)}.${randomUUID()}.tmp`);
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
    throw new RankscopeError(
      'write-failed',
      file,
      (error as Error).message,
      'Name a file in a folder that can be written',
    );
  }
}

/** Before any work is done for it; `input` is replaced by no word of force, under whatever link it is reached. */
export async function refuseExisting(file: string, force: boolean, input?: string): Promise<void> {
  const found = await stat(file, { bigint: true }).catch(() => undefined);
  if (!found) return;
  if (found.isDirectory()) {
    throw new RankscopeError('wrong-use', file, 'a folder has this name', 'Name a file inside of it');
  }
  const read = input === undefined ? undefined : await stat(input, { bigint: true }).catch(() => undefined);
  if (read && read.ino === found.ino && read.dev === found.dev) {
    throw new RankscopeError('wrong-use', file, 'this is the file that is read', 'Name another file');
  }
  if (!force) {
    throw new RankscopeError('wrong-use', file, 'it exists already', 'Name another file, or add --force to replace it');
  }
  if (await isBinary(file)) {
    throw new RankscopeError('wrong-use', file, 'it is no text, and --force replaces only texts', 'Name another file');
  }
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
