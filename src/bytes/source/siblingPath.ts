import { realpath } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, sep } from 'node:path';
import { RankscopeError } from '../../base/errors.ts';
import { attempt } from './fileSource.ts';

/**
 * The path of another file that the file `index` refers to as its `what` (a shard, external data). It must be inside
 * the folder of `index`, except in the local hub cache, whose files are links into `blobs`.
 * @throws RankscopeError 'malformed' for a name that leads out of the folder, 'not-found'
 */
export async function siblingPath(index: string, name: string, what: string): Promise<string> {
  const folder = dirname(index);
  const refuse = (found: string) =>
    new RankscopeError(
      'malformed',
      index,
      `the ${what} ${JSON.stringify(name)} ${found}`,
      'Do not trust this file; open the others one by one',
    );
  if (isAbsolute(name) || /^[a-z]:|\\|\0/i.test(name) || name.split('/').some((part) => part === '..' || part === ''))
    throw refuse(`is not a file name inside the folder of ${basename(index)}`);
  const path = join(folder, name);
  const [root, target] = await Promise.all([
    attempt(folder, () => realpath(folder)),
    attempt(path, () => realpath(path)).catch((error: RankscopeError) => {
      if (error.code !== 'not-found') throw error;
      throw new RankscopeError(
        'not-found',
        path,
        `this ${what} is missing; ${basename(index)} names it`,
        'Download the missing file',
        { cause: error },
      );
    }),
  ]);
  const blobs = dirname(target);
  const inCache = basename(blobs) === 'blobs' && /^(models|datasets|spaces)--/.test(basename(dirname(blobs)));
  if (!inCache && !target.startsWith(root + sep)) throw refuse('is a link that leads out of the folder');
  return path;
}
