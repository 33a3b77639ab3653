// An interpreter is asked where its packages are, and nothing more. It runs isolated (-I: no variables, no current
// folder, no packages of the user) and without its site (-S: no .pth files, which may run code of an open folder), in
// the root of the file system, for a limited time. NumPy is not imported.
import { spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join, parse } from 'node:path';
import { openFolderOf } from '../../../files/openFolders.ts';
import type { PythonFolders } from './libraries.ts';
import { plainEnvironment } from './searchPaths.ts';

/** A person waits for the answer, which takes some 30 ms. */
export const PYTHON_MS = 3000;
/** Time for the last words of an interpreter that has ended. */
const FAREWELL_MS = 200;
/** Far more than an answer has. */
const MOST_TEXT = 2 ** 18;

const QUESTION = `
import json, os, site, sys, sysconfig
home = os.path.dirname(sys.executable)
own = [each for each in (home, os.path.dirname(home)) if os.path.isfile(os.path.join(each, 'pyvenv.cfg'))][:1]
system = not own
for each in own:
    with open(os.path.join(each, 'pyvenv.cfg')) as lines:
        for line in lines:
            name, _, value = line.partition('=')
            if name.strip() == 'include-system-site-packages' and value.strip().lower() == 'true':
                system = True
prefixes = own + ([sys.base_prefix] if system else [])
version = 'python%d.%d' % sys.version_info[:2]
packages = [os.path.join(each, lib, version, 'site-packages') for each in own for lib in ('lib', 'lib64')]
if system:
    packages.append(site.getusersitepackages())
packages += site.getsitepackages(prefixes)
print(json.dumps({'packages': packages, 'prefixes': prefixes}))
`;

/** @throws Error with a predicate for which the interpreter is the subject */
export function askPython(
  interpreter: string,
  openFolders: readonly string[],
  limit = PYTHON_MS,
): Promise<PythonFolders> {
  const child = spawn(interpreter, ['-I', '-S', '-B', '-c', QUESTION], {
    cwd: parse(process.execPath).root,
    env: plainEnvironment(process.env, delimiter, openFolders),
    stdio: ['ignore', 'pipe', 'ignore'],
    windowsHide: true,
    // A group of its own, so that what a wrapper has started ends with it.
    detached: process.platform !== 'win32',
  });
  const end = () => {
    child.stdout.destroy();
    if (process.platform !== 'win32' && child.pid !== undefined) endGroup(child.pid);
    else child.kill('SIGKILL');
  };
  return new Promise((resolve, reject) => {
    let text = '';
    const late = setTimeout(() => {
      end();
      reject(new Error(`gave no answer within ${limit / 1000} s`));
    }, limit);
    child.stdout.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
      if (text.length > MOST_TEXT) end();
    });
    const done = () => {
      clearTimeout(late);
      const answer = readAnswer(text);
      if (answer === undefined) reject(new Error('did not say where its packages are'));
      else resolve(answer);
    };
    child.once('error', done);
    child.once('close', done);
    // What a wrapper has started may keep its pipe open.
    child.once('exit', () => {
      setTimeout(() => {
        child.stdout.destroy();
        done();
      }, FAREWELL_MS);
    });
  });
}

function endGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

function readAnswer(text: string): PythonFolders | undefined {
  try {
    const answer: unknown = JSON.parse(text.trim().split('\n').at(-1) ?? '');
    return isPythonFolders(answer) ? answer : undefined;
  } catch {
    return undefined;
  }
}

export function isPythonFolders(value: unknown): value is PythonFolders {
  const isList = (list: unknown) => Array.isArray(list) && list.every((each) => typeof each === 'string');
  const { packages, prefixes } = (value ?? {}) as Record<string, unknown>;
  return isList(packages) && isList(prefixes);
}

/** The interpreters on the PATH, the first of each name outside of open folders, and those passed over before it. */
export function pythonsOnPath(searchPath: string | undefined, openFolders: readonly string[]) {
  const names = process.platform === 'win32' ? ['python.exe', 'python3.exe'] : ['python3', 'python'];
  const folders = (searchPath ?? '').split(delimiter).filter(isAbsolute);
  const [found, refused]: [string[], string[]] = [[], []];
  for (const name of names)
    for (const file of folders.map((folder) => join(folder, name)).filter((each) => isProgram(each) && !isStub(each))) {
      const isSafe = openFolderOf(file, openFolders) === undefined;
      (isSafe ? found : refused).push(file);
      if (isSafe) break;
    }
  return { found, refused };
}

/** On macOS, a program that offers to install Python where there is none. */
const isStub = (file: string) => process.platform === 'darwin' && file.startsWith('/usr/bin/');

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
