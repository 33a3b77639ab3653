import { statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, resolve } from 'node:path';
import { type BlasPolicy, isNone, type NamedBlas } from '../../devices/cpu/blas/policy.ts';
import { liesIn } from '../../files/openFolders.ts';

export { forgetBlas } from '../../devices/cpu/blas/memory.ts';
export type { BlasPolicy };

type Environment = Readonly<Record<string, string | undefined>>;

/** The editor's: what `named` or else RANKSCOPE_BLAS names must lie outside of the open folders, like everything. */
export function editorPolicy(
  { setting = '', ...rest }: { setting?: string | undefined } & Omit<BlasPolicy, 'named'>,
  environment: Environment = process.env,
): BlasPolicy {
  return { ...rest, named: firstNamed([{ path: setting, by: 'the setting rankscope.blas' }, ofVariable(environment)]) };
}

/**
 * The command line's: the current folder and those of the checkpoints count as open, since they may have been
 * downloaded. A home folder does not: it holds the user's own programs. What the user names for this run may lie
 * anywhere.
 */
export function commandLinePolicy(
  { option = '', paths, cacheFolder }: { option?: string | undefined; paths: readonly string[]; cacheFolder: string },
  environment: Environment = process.env,
  home = homedir(),
): BlasPolicy {
  const named = firstNamed([{ path: option, by: '--blas' }, ofVariable(environment)]);
  const folders = [process.cwd(), ...paths.map((path) => (isFolder(path) ? resolve(path) : dirname(resolve(path))))];
  return {
    named: named && { ...named, path: isNone(named.path) ? named.path : resolve(named.path), anywhere: true },
    openFolders: [...new Set(folders)].filter((folder) => !liesIn(home, folder)),
    cacheFolder,
  };
}

const isFolder = (path: string) => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

const ofVariable = ({ RANKSCOPE_BLAS: path = '' }: Environment): NamedBlas => ({ path, by: 'RANKSCOPE_BLAS' });

/** The first that names something; `auto` leaves the choice to the search. */
function firstNamed(candidates: readonly NamedBlas[]): NamedBlas | undefined {
  const named = candidates.find(({ path }) => path !== '');
  return named?.path === 'auto' ? undefined : named;
}
