import { spawn } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cancelled, RankscopeError } from '../../base/errors.ts';

/** How an installation is cancelled, and reports its output line by line. */
export interface InstallOptions {
  readonly signal: AbortSignal;
  readonly line: (text: string) => void;
  /** The npm to run. */
  readonly npm?: string;
}

/** Lines of output kept for an error message. */
const KEPT_LINES = 5;

/**
 * Installs `specification` with npm into `folder`, which is emptied first and removed if the installation fails or is
 * cancelled.
 * @throws RankscopeError 'not-found' without npm, 'engine' with the last lines of npm's output, 'cancelled'
 */
export async function installPackage(
  folder: string,
  specification: string,
  { signal, line, npm = 'npm' }: InstallOptions,
): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true }));
  try {
    await runNpm(npm, ['install', '--no-audit', '--no-fund', '--loglevel=http', specification], folder, signal, line);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function runNpm(
  npm: string,
  parameters: readonly string[],
  folder: string,
  signal: AbortSignal,
  line: (text: string) => void,
): Promise<void> {
  const windows = process.platform === 'win32';
  // On Windows npm is a script, which only a shell can run; no argument comes from outside.
  const child = spawn(npm, parameters, {
    cwd: folder,
    shell: windows,
    detached: !windows,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const last: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      for (const each of text.split('\n').map((part) => part.trim())) {
        if (each === '') continue;
        last.push(each);
        line(each);
      }
      last.splice(0, last.length - KEPT_LINES);
    });
  // npm starts processes of its own, so the whole group is killed.
  const stop = () => (windows || child.pid === undefined ? child.kill() : process.kill(-child.pid, 'SIGKILL'));
  signal.addEventListener('abort', stop, { once: true });
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (signal.aborted) throw cancelled('the installation');
    if (code !== 0)
      throw new RankscopeError(
        'engine',
        'npm install',
        `failed with exit code ${code}: ${last.join(' | ')}`,
        'The Rankscope log has the full output',
      );
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new RankscopeError(
      'not-found',
      'npm',
      'not found on the PATH',
      'Install Node.js, which includes npm, and try again',
    );
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
