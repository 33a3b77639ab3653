import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../../../dist/cli.js', import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts the built command line, with a cache of its own; its output is the child's. */
export function start(cacheHome: string, words: readonly string[]): ChildProcess {
  if (!existsSync(CLI)) throw new Error(`${CLI} is missing: run "npm run build" once`);
  return spawn(process.execPath, [CLI, ...words], {
    // A search for a BLAS would take time, and find another one on each machine.
    env: { RANKSCOPE_BLAS: 'none', ...process.env, XDG_CACHE_HOME: cacheHome },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Runs it to its end. */
export async function run(cacheHome: string, ...words: string[]): Promise<Outcome> {
  return ended(start(cacheHome, words));
}

export function ended(child: ChildProcess): Promise<Outcome> {
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}
