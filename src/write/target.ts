import { randomBytes } from 'node:crypto';
import { type FileHandle, open, realpath, rename, rm, stat, statfs } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { RankscopeError } from '../base/errors.ts';
import { formatBytes } from '../base/quantities.ts';

export interface TargetOptions {
  readonly out: string;
  /** Files that must never be written onto: the source, under whatever name or link it is reached. */
  readonly sources: readonly string[];
  /** Replace an existing file. */
  readonly overwrite: boolean;
  /** Size of what will be written; checked against the free space before any work is done. */
  readonly bytes: number;
}

/** Writes the whole of `chunk` at the end of the file. */
export type Append = (chunk: Uint8Array) => Promise<void>;

/**
 * Runs `fill` on a new file beside `out` and renames it to `out` once it is whole and on the disk. After a failure or a cancellation
 * `out` is as it was and nothing else is left.
 * @throws RankscopeError 'wrong-use' for a target that must not be written, 'write-failed' with what to do; what `fill` throws.
 */
export async function writeTarget(options: TargetOptions, fill: (append: Append) => Promise<void>): Promise<void> {
  const out = await checkTarget(options);
  const partial = join(dirname(out), `.${basename(out)}.${randomBytes(6).toString('hex')}.partial`);
  const file = await attempt(out, () => open(partial, 'wx'));
  try {
    try {
      await fill((chunk) => attempt(out, () => append(file, chunk)));
      await attempt(out, () => file.sync());
    } finally {
      await file.close();
    }
    // Whoever made the file in the meantime keeps it.
    if (!options.overwrite) await refuseExisting(out);
    await attempt(out, () => rename(partial, out));
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
  await syncFolder(dirname(out));
}

async function checkTarget({ out, sources, overwrite, bytes }: TargetOptions): Promise<string> {
  const folder = await attempt(out, () => realpath(dirname(resolve(out))));
  const target = await realpath(out).catch(() => join(folder, basename(out)));
  const existing = await stat(target, { bigint: true }).catch(() => null);
  for (const source of sources) {
    const other = await stat(source, { bigint: true }).catch(() => null);
    const same = existing !== null && other !== null && existing.ino === other.ino && existing.dev === other.dev;
    if (same || (await realpath(source).catch(() => resolve(source))) === target)
      throw new RankscopeError('wrong-use', out, 'this is the source itself', 'Choose another name for the result');
  }
  if (existing?.isDirectory())
    throw new RankscopeError('wrong-use', out, 'a folder has this name', 'Name a file inside of it');
  if (existing && !overwrite) await refuseExisting(target);
  const { bavail, bsize, blocks } = await attempt(out, () => statfs(dirname(target)));
  // File systems that are not on a disk report no blocks at all.
  if (blocks > 0 && bavail * bsize < bytes)
    throw new RankscopeError(
      'write-failed',
      out,
      `${formatBytes(bytes)} are needed and ${formatBytes(bavail * bsize)} are free`,
      'Free space or choose another disk',
    );
  return target;
}

async function refuseExisting(out: string): Promise<void> {
  if (await stat(out).catch(() => null))
    throw new RankscopeError(
      'wrong-use',
      out,
      'there is a file of this name',
      'Choose another name, or allow overwriting',
    );
}

async function append(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let done = 0; done < chunk.length; ) done += (await file.write(chunk, done)).bytesWritten;
}

/** Puts the rename itself on the disk; not every system lets a folder be opened, and the file is whole without it. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => null);
  await handle?.sync().catch(() => {});
  await handle?.close();
}

const REMEDIES: Readonly<Record<string, readonly [found: string, remedy: string]>> = {
  ENOSPC: ['the disk is full', 'Free space or choose another disk'],
  EDQUOT: ['your disk quota is used up', 'Free space or choose another disk'],
  EFBIG: ['the file is larger than is allowed here', 'Raise the limit or choose another disk'],
  EACCES: ['no permission to write here', 'Choose a folder you may write to'],
  EPERM: ['no permission to write here', 'Choose a folder you may write to'],
  EROFS: ['the disk is read-only', 'Choose a folder you may write to'],
  ENOENT: ['there is no such folder', 'Make the folder or choose another one'],
  ENOTDIR: ['a part of the path is a file', 'Choose a folder'],
  ENAMETOOLONG: ['the name is too long', 'Choose a shorter name'],
};

async function attempt<Value>(out: string, work: () => Promise<Value>): Promise<Value> {
  try {
    return await work();
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    const [found, remedy] = REMEDIES[code] ?? [message, 'Choose another place and try again'];
    throw new RankscopeError('write-failed', out, found, remedy, { cause: error });
  }
}
