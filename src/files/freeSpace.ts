import { statfs } from 'node:fs/promises';
import { RankscopeError } from '../base/errors.ts';
import { formatBytes } from '../base/quantities.ts';
import { attempt } from './wholeFile.ts';

/**
 * Checks that a result of so many bytes has room.
 * @param folder that exists, in which the result will be
 * @throws RankscopeError 'write-failed' with both sizes
 */
export async function refuseIfFull(out: string, folder: string, bytes: number): Promise<void> {
  const { bavail, bsize, blocks } = await attempt(out, () => statfs(folder));
  // File systems that are not on a disk report no blocks at all.
  if (blocks > 0 && bavail * bsize < bytes)
    throw new RankscopeError(
      'write-failed',
      out,
      `${formatBytes(bytes)} are needed and ${formatBytes(bavail * bsize)} are free`,
      'Free space or choose another disk',
    );
}
