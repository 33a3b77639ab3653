import { type ChildProcess, fork } from 'node:child_process';
import { dirname } from 'node:path';
import { RankscopeError } from '../../base/errors.ts';
import { connect, type RemoteService } from '../../protocol/channel.ts';
import { processPort } from '../../protocol/processPort.ts';
import type { Runtime } from './runtimes.ts';

export interface EngineProcess {
  readonly service: RemoteService;
  readonly runtime: Runtime;
  readonly pid: number;
  /** Resolves with the reason when the process is gone. */
  readonly ended: Promise<string>;
  kill(): void;
}

export interface EngineProgram {
  /** The bundle to run, `dist/engine.js`. */
  readonly script: string;
  readonly arguments: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly log: (line: string) => void;
}

/** How long a new process may take to answer its first call. */
const START_MS = 20_000;

/**
 * Starts the first of `runtimes` that answers a call.
 * @throws RankscopeError 'engine' that names every runtime that was tried, and why it failed.
 */
export async function startEngine(runtimes: readonly Runtime[], program: EngineProgram): Promise<EngineProcess> {
  const failures: string[] = [];
  for (const runtime of runtimes) {
    const engine = launch(runtime, program);
    try {
      await proof(engine);
      program.log(`Engine process ${engine.pid} runs on ${runtime.what} (${runtime.execPath})`);
      return engine;
    } catch (error) {
      engine.kill();
      failures.push(`${runtime.what} (${runtime.execPath}): ${(error as Error).message}`);
      program.log(`Engine process not started on ${failures.at(-1)}`);
    }
  }
  throw new RankscopeError(
    'engine',
    'engine process',
    failures.length === 0 ? 'no Node.js was found to run it' : `could not be started. Tried ${failures.join('; ')}`,
    'Set rankscope.node.path to a Node.js executable, version 22 or newer',
  );
}

function launch(runtime: Runtime, program: EngineProgram): EngineProcess {
  const child = fork(program.script, [...program.arguments], {
    execPath: runtime.execPath,
    execArgv: [],
    // Not in an open folder: systems search the current folder for the libraries that a library needs.
    cwd: dirname(program.script),
    env: { ...process.env, ...program.env, ...runtime.env },
    serialization: 'advanced',
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  logLines(child, program.log);
  const port = processPort(child);
  const ended = new Promise<string>((resolve) => port.onClose?.((reason) => resolve(reason ?? 'it ended')));
  return {
    service: connect(port),
    runtime,
    pid: child.pid ?? 0,
    ended,
    kill: () => child.kill('SIGKILL'),
  };
}

// Any answer proves that the process runs and communicates. Devices prove themselves when one is first asked for.
async function proof(engine: EngineProcess): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${START_MS / 1000} s`)), START_MS);
  });
  try {
    await Promise.race([engine.service.prioritize({ path: '', names: [] }), late]);
  } catch (error) {
    if (!(error instanceof RankscopeError) || error.code === 'engine') throw error;
  } finally {
    clearTimeout(timer);
  }
}

function logLines(child: ChildProcess, log: (line: string) => void): void {
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      for (const line of text.split('\n')) if (line.trim() !== '') log(`[engine ${child.pid}] ${line}`);
    });
  }
}
