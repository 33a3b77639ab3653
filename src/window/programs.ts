import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { openFolderOf, safeEntries } from '../files/openFolders.ts';

/** The programs of these names on the PATH, in its order; none that an open folder has a part in. */
export async function* programs(
  names: readonly string[],
  searchPath: string | undefined,
  openFolders: readonly string[],
): AsyncGenerator<string> {
  for (const folder of safeEntries(searchPath, delimiter, openFolders))
    for (const name of names) {
      const file = join(folder, name);
      if (openFolderOf(file, openFolders) !== undefined) continue;
      const isExecutable = await access(file, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (isExecutable) yield file;
    }
}
