// Installs the Python that tests compare with, once, into the user's cache folder; prints the interpreter's path as its
// last line.
// It takes `python3` (RANKSCOPE_BASE_PYTHON names another one), version 3.11 or newer, and the libraries of
// requirements.txt: about three minutes, and six gigabytes where torch comes with CUDA. Exit code 3: pip reaches no
// registry.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import os from 'node:os';
import { dirname, join } from 'node:path';
import { installOnce } from '../../src/build/installOnce.ts';

const LIST = 'test/python/requirements.txt';
const NO_REGISTRY = 3;
const isWindows = process.platform === 'win32';

const base = process.env.RANKSCOPE_BASE_PYTHON ?? (isWindows ? 'python' : 'python3');
const { stdout: version, status } = spawnSync(base, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])'], {
  encoding: 'utf8',
});
if (status !== 0) fail(`${base} does not start: install Python 3.11 or newer, or name one in RANKSCOPE_BASE_PYTHON.`);
const list = readFileSync(LIST, 'utf8');
const key = createHash('sha256').update(list).update(version.trim()).digest('hex').slice(0, 12);
// Not in the cache of results, which empties itself.
const home = join(cacheFolder(), 'rankscope-reference', key);
mkdirSync(dirname(home), { recursive: true });
try {
  installOnce(home, install);
} catch (error) {
  fail(String(error));
}
console.log(interpreter(home));

function install(folder: string): void {
  console.error(`Installing the libraries of ${LIST} into ${home} ...`);
  if (!runs(base, '-m', 'venv', folder))
    throw new Error('No virtual environment: Debian and Ubuntu need python3-venv.');
  const pip = (...parameters: string[]) =>
    runs(interpreter(folder), '-m', 'pip', '--disable-pip-version-check', ...parameters);
  // One small package shows within seconds whether there is a registry; pip would try each large one several times.
  const [probe = ''] = /^safetensors.*$/m.exec(list) ?? [];
  const download = ['download', '--quiet', '--no-deps', '--retries', '0', '--timeout', '20'];
  if (!pip(...download, '--dest', join(folder, 'probe'), probe)) {
    process.exitCode = NO_REGISTRY;
    throw new Error('pip reaches no registry.');
  }
  if (!pip('install', '--quiet', '--no-cache-dir', '--only-binary', ':all:', '--requirement', LIST))
    throw new Error('pip could not install the libraries.');
}

/** Standard output ends with the path: what others print goes to the terminal as errors do. */
function runs(command: string, ...parameters: string[]): boolean {
  return spawnSync(command, parameters, { stdio: ['ignore', 2, 2] }).status === 0;
}

/**
 * Its scripts name the folder in which the environment was made; the interpreter does not mind being renamed with it.
 */
function interpreter(folder: string): string {
  return isWindows ? join(folder, 'Scripts', 'python.exe') : join(folder, 'bin', 'python');
}

function cacheFolder(): string {
  const { XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  if (XDG_CACHE_HOME) return XDG_CACHE_HOME;
  if (isWindows) return LOCALAPPDATA ?? join(os.homedir(), 'AppData/Local');
  return join(os.homedir(), process.platform === 'darwin' ? 'Library/Caches' : '.cache');
}

function fail(reason: string): never {
  console.error(reason);
  process.exit(process.exitCode ?? 1);
}
