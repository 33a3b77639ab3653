import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import type { ByteSource } from './byteSource.ts';

/** A file's path, and its size and modification time when it was opened. */
export interface FileIdentity {
  readonly path: string;
  readonly size: number;
  readonly mtimeMs: number;
}

/** A local file as a byte source. */
export interface FileSource extends ByteSource {
  readonly identity: FileIdentity;
}

/**
 * Opens the file at `path`, following links. The file must stay the one that was opened: after each read the device and
 * inode (replaced), size and modification time (truncated, rewritten) of what the path names now are compared.
 * @throws RankscopeError 'not-found', 'unreadable' (no permission, a folder, a pipe, a device).
 */
export async function openFileSource(path: string): Promise<FileSource> {
  // Checked before opening, because opening a pipe would wait for a writer.
  refuseUnlessFile(path, await attempt(path, () => stat(path, { bigint: true })));
  const handle = await attempt(path, () => open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)));
  try {
    const opened = await attempt(path, () => handle.stat({ bigint: true }));
    refuseUnlessFile(path, opened);
    return fileSource(path, handle, opened);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Turns a failed file system call on `path` into an error that says what to do. */
export async function attempt<T>(path: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw error instanceof RankscopeError ? error : fileError(path, error);
  }
}

function fileSource(path: string, handle: FileHandle, opened: BigIntStats): FileSource {
  const size = Number(opened.size);

  function refuseBeyondEnd(offset: number, length: number): void {
    if (Number.isSafeInteger(offset) && offset >= 0 && length >= 0 && offset + length <= size) return;
    throw new RankscopeError(
      'malformed',
      path,
      `bytes ${offset} to ${offset + length} are needed, but the file ends at ${size}`,
      'It is incomplete: copy or download it again',
    );
  }

  async function readInto(offset: number, out: Uint8Array, signal?: AbortSignal): Promise<void> {
    throwIfCancelled(signal, path);
    refuseBeyondEnd(offset, out.length);
    for (let done = 0; done < out.length; ) {
      const { bytesRead } = await attempt(path, () => handle.read(out, done, out.length - done, offset + done));
      if (bytesRead === 0) throw changed(path);
      done += bytesRead;
      throwIfCancelled(signal, path);
    }
    const now = await stat(path, { bigint: true }).catch(() => undefined);
    if (!now || !sameFile(opened, now)) throw changed(path);
  }

  let closing: Promise<void> | undefined;
  return {
    name: path,
    size,
    identity: { path, size, mtimeMs: Number(opened.mtimeNs) / 1e6 },
    readInto,
    async read(offset, length, signal) {
      refuseBeyondEnd(offset, length);
      const bytes = new Uint8Array(length);
      await readInto(offset, bytes, signal);
      return bytes;
    },
    close() {
      closing ??= handle.close();
      return closing;
    },
  };
}

function sameFile(a: BigIntStats, b: BigIntStats): boolean {
  return a.dev === b.dev && a.ino === b.ino && a.size === b.size && a.mtimeNs === b.mtimeNs;
}

function changed(path: string): RankscopeError {
  return new RankscopeError(
    'changed',
    path,
    'the file was replaced, rewritten or deleted while it was being read',
    'Open it again once it is complete',
  );
}

function refuseUnlessFile(path: string, stats: BigIntStats): void {
  if (stats.isFile()) return;
  let found = 'this is a device';
  if (stats.isDirectory()) found = 'this is a folder, where a file is expected';
  else if (stats.isFIFO()) found = 'this is a pipe, which cannot be read in any order';
  else if (stats.isSocket()) found = 'this is a socket';
  throw new RankscopeError('unreadable', path, found, 'Name a checkpoint file, an index or a folder');
}

function fileError(path: string, error: unknown): RankscopeError {
  const code = (error as NodeJS.ErrnoException).code ?? String(error);
  const cause = { cause: error };
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new RankscopeError('not-found', path, 'there is no such file or folder', 'Check the path', cause);
    case 'EACCES':
    case 'EPERM':
      return new RankscopeError('unreadable', path, 'reading it is not permitted', 'Change its permissions', cause);
    case 'ELOOP':
      return new RankscopeError('unreadable', path, 'its symbolic links lead in a circle', 'Repair the link', cause);
    case 'EMFILE':
    case 'ENFILE':
      return new RankscopeError('unreadable', path, 'too many files are open', 'Close some, or raise the limit', cause);
    default:
      return new RankscopeError('unreadable', path, `the system could not read it (${code})`, '', cause);
  }
}
