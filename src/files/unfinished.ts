import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { writeWhole } from './wholeFile.ts';

/** What an unfinished result is of; one of anything else is not continued. The keys are words for people. */
export type Fingerprint = Readonly<Record<string, string | number | boolean | null>>;

/** The file in the folder of an unfinished result that says what it is. */
export const STATE = 'state.json';

/** @throws RankscopeError 'write-failed' */
export function writeState(folder: string, format: string, fingerprint: Fingerprint): Promise<void> {
  const text = JSON.stringify({ format, fingerprint });
  return writeWhole(join(folder, STATE), { overwrite: true }, (append) => append(text));
}

/** What the unfinished result in a folder is of; undefined where there is none, or a damaged one. */
export async function stateIn(folder: string, format: string): Promise<Fingerprint | undefined> {
  try {
    const state = JSON.parse(await readFile(join(folder, STATE), 'utf8')) as Record<string, unknown> | null;
    const isState = state?.format === format && typeof state.fingerprint === 'object' && state.fingerprint !== null;
    return isState ? (state.fingerprint as Fingerprint) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Whether a folder without a state holds something else.
 * @param isLeft whether a kill before the first file may have left a file of this name
 */
export async function isOccupied(folder: string, isLeft: (file: string) => boolean): Promise<boolean> {
  if (!(await stat(folder).catch(() => undefined))) return false;
  const files = await readdir(folder).catch(() => ['']);
  return files.some((file) => !isLeft(file));
}

/** The first key in which two differ. */
export function firstDifference(found: Fingerprint, wanted: Fingerprint): string | undefined {
  return [...new Set([...Object.keys(wanted), ...Object.keys(found)])].find((key) => found[key] !== wanted[key]);
}
