import { cancelled, throwIfCancelled } from '../../base/errors.ts';

interface Waiting {
  /** Whether a lane is enough. */
  readonly beside: boolean;
  readonly start: (lane: number | undefined) => void;
}

export interface TurnOptions {
  /** Whether it goes before those that are not urgent. */
  readonly urgent?: boolean | undefined;
  /** Whether other jobs of this kind may run at the same time, each in a lane of its own. */
  readonly beside?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs jobs on one device in the order they arrive: one at a time, and those that allow it side by side in lanes.
 * Urgent jobs, which a person waits for, go first. A long analysis queues a few matrices at a time, so that several
 * analyses alternate.
 */
export class JobQueue {
  /** Whether a job has the whole device. */
  private busy = false;
  private readonly free: number[];
  private readonly urgent: Waiting[] = [];
  private readonly patient: Waiting[] = [];

  /** @param lanes how many jobs the device can run side by side; without any, each job has the whole device */
  constructor(private readonly lanes = 0) {
    this.free = [...Array(lanes).keys()];
  }

  /**
   * Runs `job` when its turn comes, with the number of its lane, or undefined if it has the whole device.
   * @throws RankscopeError 'cancelled' at once when `signal` aborts before that
   */
  async run<Result>(
    subject: string,
    job: (lane: number | undefined) => Promise<Result>,
    options: TurnOptions = {},
  ): Promise<Result> {
    const lane = await this.turn(subject, options.urgent ? this.urgent : this.patient, options);
    try {
      return await job(lane);
    } finally {
      if (lane === undefined) this.busy = false;
      else this.free.push(lane);
      this.next();
    }
  }

  /**
   * Awaited by a long job between its steps: lets the urgent jobs that wait run now, and returns nothing if none does.
   * Only for a job that has the whole device.
   * @throws RankscopeError 'cancelled' when `signal` aborts meanwhile; the job then still has its turn
   */
  letUrgent(subject: string, signal?: AbortSignal): Promise<void> | undefined {
    if (this.urgent.length === 0) return undefined;
    // It comes back behind those that wait now.
    const turn = this.turn(subject, this.urgent, {});
    this.busy = false;
    this.next();
    return turn.then(() => throwIfCancelled(signal, subject));
  }

  private turn(
    subject: string,
    queue: Waiting[],
    { beside = false, signal }: TurnOptions,
  ): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        queue.splice(queue.indexOf(waiting), 1);
        reject(cancelled(subject));
        this.next();
      };
      const waiting: Waiting = {
        beside: beside && this.lanes > 0,
        start: (lane) => {
          signal?.removeEventListener('abort', onAbort);
          resolve(lane);
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

  /** Starts those whose turn it is. One that needs the whole device waits for all lanes, and the others for it. */
  private next(): void {
    for (;;) {
      const queue = this.urgent.length > 0 ? this.urgent : this.patient;
      const [first] = queue;
      if (!first || this.busy) return;
      if (first.beside ? this.free.length === 0 : this.free.length < this.lanes) return;
      queue.shift();
      if (!first.beside) this.busy = true;
      first.start(first.beside ? this.free.pop() : undefined);
    }
  }
}
