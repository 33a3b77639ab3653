import { cancelled, throwIfCancelled } from '../../base/errors.ts';

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

  /**
   * Awaited by a long job between its steps: lets the urgent jobs that wait run now, and returns nothing if none does.
   * @throws RankscopeError 'cancelled' when `signal` aborts meanwhile; the job then still has its turn
   */
  letUrgent(subject: string, signal?: AbortSignal): Promise<void> | undefined {
    if (this.urgent.length === 0) return undefined;
    // It comes back behind those that wait now.
    const turn = this.turn(subject, this.urgent);
    this.busy = false;
    this.next();
    return turn.then(() => throwIfCancelled(signal, subject));
  }

  private turn(subject: string, queue: Waiting[], signal?: AbortSignal): Promise<void> {
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
