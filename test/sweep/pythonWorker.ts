import { type ChildProcess, spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { createInterface, type Interface } from 'node:readline';

/** A request to `test/python/architectures/worker.py`, whose head lists them. */
export type WorkerRequest = { readonly do: 'list' | 'make' | 'judge' | 'judge folder' } & Readonly<
  Record<string, unknown>
>;

/**
 * A Python process that answers one request at a time. Building a model may crash it, hang it or take all memory: it is
 * then replaced, and only that request fails.
 */
export class PythonWorker {
  private child: ChildProcess | undefined;
  private lines: Interface | undefined;
  private errors = '';

  constructor(
    private readonly python: string,
    private readonly limitSeconds: number,
  ) {}

  /** @throws Error if the process ends, does not answer in time, or says that the request failed. */
  async ask<Answer>(request: WorkerRequest): Promise<Answer> {
    const { child, lines } = this.running();
    const answer = await new Promise<string>((done, fail) => {
      const end = (settle: () => void) => {
        clearTimeout(late);
        lines.off('line', answered);
        child.off('exit', ended);
        settle();
      };
      const answered = (line: string) => end(() => done(line));
      const ended = (code: number | null, signal: string | null) =>
        end(() => fail(new Error(`Python ended (${signal ?? code}): ${this.errors.trim().split('\n').at(-1) ?? ''}`)));
      const late = setTimeout(
        () => end(() => fail(new Error(`no answer in ${this.limitSeconds} s`))),
        this.limitSeconds * 1000,
      );
      lines.once('line', answered);
      child.once('exit', ended);
      child.stdin!.write(`${JSON.stringify(request)}\n`);
    }).catch((error: unknown) => {
      this.close();
      throw error;
    });
    const value = JSON.parse(answer) as Answer & { readonly failed?: string };
    if (value.failed !== undefined) throw new Error(value.failed);
    return value;
  }

  close(): void {
    this.lines?.close();
    // The command may be a client whose process waits for its input to end.
    this.child?.stdin?.destroy();
    this.child?.kill('SIGKILL');
    this.child = undefined;
  }

  private running(): { child: ChildProcess; lines: Interface } {
    if (this.child === undefined || this.child.exitCode !== null || this.child.signalCode !== null) {
      this.child = spawn(this.python, [resolve('test/python/architectures/worker.py')], {
        stdio: ['pipe', 'pipe', 'pipe'],
        env: {
          ...process.env,
          PYTHONDONTWRITEBYTECODE: '1',
          OMP_NUM_THREADS: '1',
          HF_HUB_OFFLINE: '1',
          CUDA_VISIBLE_DEVICES: '',
        },
      });
      this.errors = '';
      this.child.stdin!.on('error', () => undefined);
      this.child.stderr!.on('data', (text: Buffer) => {
        this.errors = `${this.errors}${text}`.slice(-2000);
      });
      this.lines = createInterface({ input: this.child.stdout! });
    }
    return { child: this.child, lines: this.lines! };
  }
}
