import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/**
 * Fills `folder` once. It is filled under another name and renamed when it is whole, so that an interrupted
 * installation is never taken for a finished one; of two processes that install at once, the first to finish wins.
 */
export function installOnce(folder: string, fill: (folder: string) => void): void {
  removeAbandoned(folder);
  if (existsSync(folder)) return;
  const partial = `${folder}.partial-${process.pid}`;
  mkdirSync(partial, { recursive: true });
  try {
    fill(partial);
    renameSync(partial, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

/** Removes what processes that were killed have left half-filled. */
function removeAbandoned(folder: string): void {
  const place = dirname(folder);
  if (!existsSync(place)) return;
  const start = `${basename(folder)}.partial-`;
  for (const name of readdirSync(place))
    if (name.startsWith(start) && !isRunning(Number(name.slice(start.length))))
      rmSync(join(place, name), { recursive: true, force: true });
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
