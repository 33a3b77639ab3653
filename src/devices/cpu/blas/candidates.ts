import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { openFolderOf } from '../../../files/openFolders.ts';
import { type Library, type List, type PythonFolders, pythonLibraries, systemLibraries } from './libraries.ts';
import { type Memory, stampOf } from './memory.ts';
import type { BlasPolicy } from './policy.ts';
import { askPython, isPythonFolders, PYTHON_MS, pythonsOnPath } from './python.ts';

/** A framework of macOS; its file is not on the disk but in a cache of the loader. */
export const ACCELERATE = '/System/Library/Frameworks/Accelerate.framework/Accelerate';

/**
 * The libraries that may have a fast BLAS, best first. Each is looked for only when it is asked for, because asking an
 * interpreter takes time.
 * @param refuse takes a sentence for each interpreter that cannot be asked
 */
export async function* candidates(
  policy: BlasPolicy,
  memory: Memory,
  refuse: (reason: string) => void,
  limit = PYTHON_MS,
): AsyncGenerator<Library> {
  const { named, interpreter, openFolders } = policy;
  if (named !== undefined) yield { path: named.path, source: named.by };
  if (process.platform === 'darwin') yield { path: ACCELERATE, source: 'macOS' };
  const onPath = pythonsOnPath(process.env.PATH, openFolders);
  for (const folder of new Set(onPath.refused.map((file) => dirname(file))))
    refuse(`the Python in ${folder} lies in an open folder`);
  for (const python of new Set(interpreter === undefined ? onPath.found : [interpreter, ...onPath.found])) {
    if (openFolderOf(python, openFolders) !== undefined) {
      refuse(`${python} lies in an open folder`);
      continue;
    }
    try {
      yield* pythonLibraries(await foldersOf(python, openFolders, memory, limit), python, list);
    } catch (error) {
      refuse(`${python} ${(error as Error).message}`);
    }
  }
  yield* systemLibraries(list);
}

async function foldersOf(python: string, openFolders: readonly string[], memory: Memory, limit: number) {
  const key = `python ${python} ${stampOf(python)}`;
  // One that hangs must not delay every start, but may have been slow only for once.
  const known = memory.get(key, isAnswer, (answer) => ('fault' in answer ? 1 : 24));
  const answer =
    known ??
    (await askPython(python, openFolders, limit).catch((error: unknown) => ({ fault: (error as Error).message })));
  if (known === undefined) memory.set(key, answer);
  if ('fault' in answer) throw new Error(answer.fault);
  return answer;
}

type Answer = PythonFolders | { readonly fault: string };

const isAnswer = (value: unknown): value is Answer =>
  isPythonFolders(value) || typeof (value as { fault?: unknown } | null)?.fault === 'string';

const list: List = (folder) => {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
};
