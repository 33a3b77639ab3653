import { randomBytes } from 'node:crypto';
import { link, mkdir, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { RankscopeError } from '../base/errors.ts';

export interface WholeFileOptions {
  /** Whether a file of this name is replaced. */
  readonly overwrite: boolean;
  /** Whether the content must survive a power failure; true if left out. Only a cache can do without. */
  readonly flush?: boolean;
}

/** Writes the whole of `chunk` at the end of the file; text as UTF-8. */
export type Append = (chunk: Uint8Array | string) => Promise<void>;

/**
 * Writes a file whole or not at all: `fill` writes a new file beside `target`, which is flushed to the disk and then
 * renamed to `target`. After a failure or a cancellation, `target` is unchanged and nothing else is left. Several
 * writers of one target do not disturb each other: the last one wins, or the first one if nothing may be replaced. A
 * symbolic link is followed.
 * @throws RankscopeError 'wrong-use' if `target` exists and may not be replaced, 'write-failed' with what to do; what
 * `fill` throws.
 */
export async function writeWhole(
  target: string,
  { overwrite, flush = true }: WholeFileOptions,
  fill: (append: Append) => Promise<void>,
): Promise<void> {
  const file = await resolveTarget(target);
  const beside = join(dirname(file), `.${basename(file)}.${randomBytes(6).toString('hex')}.partial`);
  const handle = await attempt(target, () => open(beside, 'wx'));
  try {
    try {
      // Unlike `write`, `writeFile` continues after a short write; on an open handle it appends.
      await fill((chunk) => attempt(target, () => handle.writeFile(chunk)));
      if (flush) await attempt(target, () => handle.sync());
    } finally {
      await handle.close();
    }
    if (overwrite) await attempt(target, () => rename(beside, file));
    else await claim(beside, file, target);
  } catch (error) {
    await rm(beside, { force: true }).catch(() => undefined);
    throw error;
  }
  if (flush) await flushFolder(dirname(file));
}

/**
 * As `writeWhole`, making the folder of `target` if it is missing: an attempt without it comes first, as it is rarely
 * missing.
 */
export async function writeWholeIn(
  target: string,
  options: WholeFileOptions,
  fill: (append: Append) => Promise<void>,
): Promise<void> {
  try {
    await writeWhole(target, options, fill);
  } catch (error) {
    if (!(error instanceof RankscopeError) || codeOf(error.cause) !== 'ENOENT') throw error;
    await attempt(target, () => mkdir(dirname(target), { recursive: true }));
    await writeWhole(target, options, fill);
  }
}

/** The path of `target` without symbolic links; `target` itself need not exist, its folder must. */
export async function resolveTarget(target: string): Promise<string> {
  const folder = await attempt(target, () => realpath(dirname(resolve(target))));
  return realpath(target).catch(() => join(folder, basename(target)));
}

/** Whether two paths lead to one existing file, through links of any kind. */
export async function isSameFile(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([one, other].map((file) => stat(file, { bigint: true }).catch(() => undefined)));
  return a !== undefined && b !== undefined && a.ino === b.ino && a.dev === b.dev;
}

/** @throws RankscopeError 'wrong-use' if `target` exists. */
export async function refuseExisting(target: string): Promise<void> {
  if (await stat(target).catch(() => undefined)) throw existing(target);
}

function existing(target: string): RankscopeError {
  return new RankscopeError(
    'wrong-use',
    target,
    'there is a file of this name',
    'Choose another name, or allow overwriting',
  );
}

/** Gives `beside` the name `file` unless that is taken; a hard link fails then, where a rename would replace. */
async function claim(beside: string, file: string, target: string): Promise<void> {
  try {
    await link(beside, file);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') throw existing(target);
    // The file system has no hard links.
    await refuseExisting(file);
    await attempt(target, () => rename(beside, file));
    return;
  }
  await rm(beside, { force: true });
}

/** Makes the rename itself durable. Not every system can open a folder, and the file is whole in any case. */
async function flushFolder(folder: string): Promise<void> {
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
  // Of a folder that is made.
  EEXIST: ['a part of the path is a file', 'Choose a folder'],
  ENAMETOOLONG: ['the name is too long', 'Choose a shorter name'],
};

/** Runs `work` on behalf of `target`, the only name a person knows. @throws RankscopeError 'write-failed' */
export async function attempt<Value>(target: string, work: () => Promise<Value>): Promise<Value> {
  try {
    return await work();
  } catch (error) {
    const [found, remedy] = REMEDIES[codeOf(error)] ?? [(error as Error).message, 'Choose another place and try again'];
    throw new RankscopeError('write-failed', target, found, remedy, { cause: error });
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException | undefined)?.code ?? '';
}
