import { resolve } from 'node:path';
import { openFolderOf, safeEntries } from '../../../files/openFolders.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Variables whose folders the system's loader searches for the libraries that a library needs. */
const OF_THE_LOADER = ['LD_LIBRARY_PATH', 'DYLD_LIBRARY_PATH', 'DYLD_FALLBACK_LIBRARY_PATH', 'DYLD_FRAMEWORK_PATH'];

/**
 * Why no library may be loaded under this environment, if so: the loader, which read it when the process started, would
 * search an open folder.
 */
export function loaderTrap(
  environment: Environment,
  separator: string,
  openFolders: readonly string[],
): string | undefined {
  for (const name of OF_THE_LOADER) {
    const list = environment[name];
    if (!list) continue;
    // An empty entry stands for the current folder.
    if (list.split(separator).some((entry) => openFolderOf(resolve(entry), openFolders) !== undefined))
      return `${name} leads the system's loader into an open folder`;
  }
  return undefined;
}

/**
 * The environment in which an interpreter is asked: only what a program needs to start. Version managers and Python
 * itself read variables that may lead into an open folder.
 */
export function plainEnvironment(
  environment: Environment,
  separator: string,
  openFolders: readonly string[],
): Record<string, string> {
  const kept = ['HOME', 'USERPROFILE', 'SYSTEMROOT', 'SystemRoot', 'APPDATA', 'LOCALAPPDATA', 'TMPDIR', 'TEMP', 'TMP'];
  const plain: Record<string, string> = {};
  for (const name of kept) if (environment[name] !== undefined) plain[name] = environment[name];
  for (const name of ['PATH', ...OF_THE_LOADER]) {
    const entries = safeEntries(environment[name], separator, openFolders);
    if (entries.length > 0) plain[name] = entries.join(separator);
  }
  return plain;
}
