import { Worker } from 'node:worker_threads';
import { cancelled, RankscopeError } from '../../base/errors.ts';
import { asset, fromSource } from '../assets.ts';
import type { Blas } from './blas/blas.ts';
import type { Job, Reply, Scratch, Start, Work } from './job.ts';
import type { Stages } from './team.ts';

interface Pending {
  readonly id: number;
  readonly subject: string;
  readonly progress: ((share: number) => void) | undefined;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
  left: number;
  result: unknown;
  stopped: boolean;
}

/** Indices of the words; see `kernels/sync.ts`. */
const ARRIVED = 0;
const TASK = 2;
const CANCEL = 3;
const AGREED = 4;
const PATIENCE = 5;

/**
 * Looks at a word of memory before a thread sleeps, about a millisecond of them, as long as none has been in vain. On a
 * virtual machine a thread that wakes another finds the idle processors halted, which Linux takes for busy, and has it
 * wait for its own: then both share one until the system notices.
 */
const PATIENT = 3_000_000;
/** Milliseconds after which threads that have lost their patience are given it back. */
const FORGIVE_MS = 50;

/**
 * The worker threads, as the main thread sees them: they run one routine after another, all of them together on each.
 */
export class WorkerTeam {
  private readonly workers: Worker[];
  private readonly words: Int32Array;
  private current: Pending | undefined;
  private last: Promise<unknown> = Promise.resolve();
  private broken: RankscopeError | undefined;
  private jobs = 0;
  private patientFrom = 0;
  /** Of the last routine that returned a result. */
  lastStages: Stages = {};

  constructor(
    module: WebAssembly.Module,
    memory: WebAssembly.Memory,
    sync: number,
    scratch: readonly Scratch[],
    blas: Blas | undefined,
  ) {
    this.words = new Int32Array(memory.buffer, sync, 8);
    const threads = scratch.length;
    this.workers = scratch.map((at, id) => {
      const data: Start = { module, memory, id, threads, sync, scratch: at, blas };
      const worker = startWorker(data);
      worker.on('message', (reply: Reply) => this.onReply(reply));
      worker.on('error', (error) => this.fail(`a kernel thread failed: ${error.message}`));
      worker.on('exit', (code) => this.fail(`a kernel thread ended with code ${code}`));
      // Idle workers must not keep the process alive.
      worker.unref();
      return worker;
    });
  }

  /**
   * Runs a routine after those requested earlier. @throws RankscopeError 'cancelled', or 'engine' when a thread dies.
   */
  run(work: Work, subject: string, signal?: AbortSignal, progress?: (share: number) => void): Promise<unknown> {
    const turn = this.last.then(() => this.start(work, subject, signal, progress));
    this.last = turn.catch(() => {});
    return turn;
  }

  async close(): Promise<void> {
    this.fail('the device was closed');
    await Promise.all(this.workers.map((worker) => worker.terminate()));
  }

  private async start(
    work: Work,
    subject: string,
    signal: AbortSignal | undefined,
    progress: ((share: number) => void) | undefined,
  ): Promise<unknown> {
    if (this.broken) throw this.broken;
    if (signal?.aborted) throw cancelled(subject);
    for (const word of [ARRIVED, TASK, CANCEL, AGREED]) Atomics.store(this.words, word, 0);
    const now = performance.now();
    if (now > this.patientFrom) {
      this.patientFrom = now + FORGIVE_MS;
      Atomics.store(this.words, PATIENCE, PATIENT);
    }
    const stop = () => Atomics.store(this.words, CANCEL, 1);
    signal?.addEventListener('abort', stop, { once: true });
    for (const worker of this.workers) worker.ref();
    try {
      return await new Promise((resolve, reject) => {
        const id = ++this.jobs;
        const left = this.workers.length;
        this.current = { id, subject, progress, resolve, reject, left, result: undefined, stopped: false };
        const job: Job = { id, ...work };
        for (const worker of this.workers) worker.postMessage(job);
      });
    } finally {
      this.current = undefined;
      signal?.removeEventListener('abort', stop);
      for (const worker of this.workers) worker.unref();
    }
  }

  private onReply(reply: Reply): void {
    const current = this.current;
    if (current?.id !== reply.id) return;
    if (reply.kind === 'progress') {
      current.progress?.(reply.share);
      return;
    }
    // The others wait for a thread that failed: only a new team helps.
    if (reply.kind === 'failed') this.fail(`a kernel failed: ${reply.message}`);
    if (reply.kind === 'stopped') current.stopped = true;
    // Only the leader has a result.
    if (reply.kind === 'done' && reply.stages !== undefined) {
      current.result = reply.result;
      this.lastStages = reply.stages;
    }
    if (--current.left > 0) return;
    if (current.stopped) current.reject(cancelled(current.subject));
    else current.resolve(current.result);
  }

  private fail(found: string): void {
    if (this.broken) return;
    this.broken = new RankscopeError('engine', 'cpu', found, 'Run the analysis again: new threads are started');
    this.current?.reject(this.broken);
    for (const worker of this.workers) void worker.terminate();
  }
}

function startWorker(data: Start): Worker {
  if (!fromSource) return new Worker(asset('kernelWorker.js'), { workerData: data });
  // Node 20 does not pass tsx on to workers, so each registers it itself when run from source.
  const file = new URL('./worker.ts', import.meta.url).href;
  const code = `import('tsx/esm/api').then(({ register }) => { register(); return import(${JSON.stringify(file)}); })`;
  return new Worker(code, { workerData: data, eval: true, execArgv: [] });
}
