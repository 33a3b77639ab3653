import { fork } from 'node:child_process';
import { parse } from 'node:path';
import { asset } from '../../assets.ts';
import type { ProbeMessage, ProbeStep, ProbeTask, Proof } from './probeMessages.ts';
import { threadEnvironment } from './threads.ts';

/** After this time a library is taken to hang; a probe needs half a second. */
export const PROBE_MS = 10_000;
/** The same for a library that has not even been loaded. */
const LOADING_MS = 5_000;
/** Time for the last messages of a process that has ended. */
const FAREWELL_MS = 200;

export type ProbeResult =
  | ({ readonly kind: 'proven' } & Proof)
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'failed'; readonly reason: string };

/** The program that a probe runs: it stands for the checks in what is remembered of their outcome. */
export const probeScript = (): string => asset('blasProbe.js');

const WHEN: Record<ProbeStep, string> = {
  loading: 'when it is loaded',
  multiplying: 'in a product',
  leaving: 'at the end of its process',
};

/** Tries a library in a process of its own. The reason of a refusal is a predicate whose subject is the file. */
export function probe(task: ProbeTask, limit = PROBE_MS): Promise<ProbeResult> {
  const child = fork(probeScript(), [JSON.stringify(task)], {
    // Not in an open folder: systems search the current folder for the libraries that a library needs.
    cwd: parse(process.execPath).root,
    // Options for this process may name files by a path that holds only here.
    env: { ...process.env, NODE_OPTIONS: '', ...threadEnvironment(task.threading === 'workers' ? 1 : task.threads) },
    execArgv: [],
    stdio: ['ignore', 'pipe', 'ignore', 'ipc'],
  });
  let step: ProbeStep | undefined;
  let result: ProbeResult | undefined;
  let hung = false;
  let isLoud = false;
  child.stdout?.on('data', () => {
    isLoud = true;
  });
  const end = () => {
    hung = true;
    child.kill('SIGKILL');
  };
  const late = setTimeout(end, limit);
  let loading: NodeJS.Timeout | undefined;
  child.on('message', (message: ProbeMessage) => {
    clearTimeout(loading);
    if (message.kind !== 'step') result = message;
    else step = message.step;
    if (step === 'loading') loading = setTimeout(end, Math.min(limit, LOADING_MS));
  });
  return new Promise((resolve) => {
    const done = (found: ProbeResult) => {
      clearTimeout(late);
      clearTimeout(loading);
      resolve(found);
    };
    const refused = (reason: string) => done({ kind: 'refused', reason });
    child.once('error', (error) => done({ kind: 'failed', reason: error.message }));
    const ended = (code: number | null, signal: NodeJS.Signals | null) => {
      if (step === undefined)
        done({ kind: 'failed', reason: `its process did not start (${signal ?? `exit code ${code}`})` });
      else if (hung) refused(`hangs ${WHEN[step]}`);
      // A process that crashes when it ends would lose what it has just written.
      else if (signal !== null || code !== 0) refused(`crashes ${WHEN[step]} (${signal ?? `exit code ${code}`})`);
      // The command line's results are there.
      else if (isLoud) refused('writes to standard output');
      else if (result === undefined) refused(`ends its process ${WHEN[step]}`);
      else done(result);
    };
    child.once('close', ended);
    // A process that the library has started may keep its pipes, so that they never close.
    child.once('exit', (code, signal) => {
      setTimeout(() => {
        child.stdout?.destroy();
        if (child.connected) child.disconnect();
        ended(code, signal);
      }, FAREWELL_MS);
    });
  });
}
