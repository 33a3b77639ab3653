import { cancelled } from '../../base/errors.ts';

interface Waiting {
  readonly start: () => void;
}

/**
 * Runs jobs on one device, one at a time in the order they arrive; urgent jobs, which a person waits for, go first. A
 * long analysis queues one matrix at a time, so that several analyses alternate.
 */
export class JobQueue {
  private busy = false;
  private readonly urgent: Waiting[] = [];
  private readonly patient: Waiting[] = [];

  /** Runs `job` when its turn comes. @throws RankscopeError 'cancelled' at once when `signal` aborts before that. */
  async run<Result>(
    subject: string,
    job: () => Promise<Result>,
    options: { readonly urgent?: boolean; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Result> {
    await this.turn(subject, options.urgent ? this.urgent : this.patient, options.signal);
    try {
      return await job();
    } finally {
      this.busy = false;
      this.next();
    }
  }

  private turn(subject: string, queue: Waiting[], signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        queue.splice(queue.indexOf(waiting), 1);
        reject(cancelled(subject));
      };
      const waiting: Waiting = {
        start: () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      if (signal?.aborted) {
        reject(cancelled(subject));
        return;
      }
      signal?.addEventListener('abort', onAbort, { once: true });
      queue.push(waiting);
      this.next();
    });
  }

  private next(): void {
    if (this.busy) return;
    const waiting = this.urgent.shift() ?? this.patient.shift();
    if (!waiting) return;
    this.busy = true;
    waiting.start();
  }
}
