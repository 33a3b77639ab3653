import { realpath, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { RankscopeError } from '../base/errors.ts';
import { refuseIfFull } from '../files/freeSpace.ts';
import { type Append, isSameFile, refuseExisting, resolveTarget, writeWhole } from '../files/wholeFile.ts';

export interface TargetOptions {
  readonly out: string;
  /** Files that are never replaced: those of the source, by whatever name or link they are reached. */
  readonly sources: readonly string[];
  /** Whether an existing file is replaced. */
  readonly overwrite: boolean;
  /** Size of the result, checked against the free space before any work is done. */
  readonly bytes: number;
}

/**
 * Writes a result with `writeWhole`, after checking that `out` may be written and has room.
 * @throws RankscopeError 'wrong-use' for a target that must not be written, 'write-failed' with what to do; what `fill`
 * throws.
 */
export async function writeTarget(options: TargetOptions, fill: (append: Append) => Promise<void>): Promise<void> {
  await checkTarget(options);
  await writeWhole(options.out, options, fill);
}

/**
 * Checks before any work is done that a target may be written.
 * @throws RankscopeError as `writeTarget` does
 */
export async function checkTarget({ out, sources, overwrite, bytes }: TargetOptions): Promise<void> {
  const target = await resolveTarget(out);
  for (const source of sources) {
    // A source that was deleted meanwhile still has its name.
    const name = await realpath(source).catch(() => resolve(source));
    if (name === target || (await isSameFile(source, target)))
      throw new RankscopeError('wrong-use', out, 'this is the source itself', 'Choose another name for the result');
  }
  const found = await stat(target).catch(() => null);
  if (found?.isDirectory())
    throw new RankscopeError('wrong-use', out, 'a folder has this name', 'Name a file inside it');
  if (!overwrite) await refuseExisting(out);
  await refuseIfFull(out, dirname(target), bytes);
}
