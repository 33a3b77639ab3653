import { errorData, RankscopeError } from '../base/errors.ts';
import { type ComparisonSnapshot, IDLE } from '../protocol/page.ts';
import type { Service } from '../protocol/service.ts';
import { Emitter } from './emitter.ts';
import { OneRun } from './sessions/oneRun.ts';

/** Shortest time between two progress reports: a small layer takes a millisecond. */
const REPORT_MS = 100;

/** The state of an adapter comparison, independent of the page that shows it. */
export class Comparison {
  readonly updates = new Emitter<Partial<ComparisonSnapshot>>();
  private state: ComparisonSnapshot;
  private readonly running = new OneRun();

  constructor(
    paths: readonly string[],
    private readonly service: Pick<Service, 'compare'>,
  ) {
    this.state = { paths, comparison: null, run: IDLE, error: null };
  }

  snapshot(): ComparisonSnapshot {
    return this.state;
  }

  /** Starts the comparison, or returns the current run. Never rejects: the page shows what went wrong. */
  start(): Promise<void> {
    return this.running.start((signal) => this.compare(signal));
  }

  cancel(): Promise<void> {
    return this.running.cancel();
  }

  private async compare(signal: AbortSignal): Promise<void> {
    this.tell({ error: null, run: { ...IDLE, status: 'running', message: 'Reading the adapters' } });
    let last = 0;
    try {
      const comparison = await this.service.compare(
        { paths: this.state.paths },
        {
          signal,
          progress: ({ done, total, message }) => {
            const now = performance.now();
            if (now - last < REPORT_MS) return;
            last = now;
            this.tell({ run: { status: 'running', done, total, message, secondsLeft: null } });
          },
        },
      );
      const total = comparison.layers.length;
      this.tell({ comparison, run: { ...IDLE, status: 'done', done: total, total } });
    } catch (error) {
      const { run } = this.state;
      if (signal.aborted || (error instanceof RankscopeError && error.code === 'cancelled'))
        this.tell({ run: { ...run, status: 'cancelled', message: '' } });
      else
        this.tell({
          error: errorData(error, this.state.paths[0] ?? ''),
          run: { ...run, status: 'failed', message: '' },
        });
    }
  }

  private tell(update: Partial<ComparisonSnapshot>): void {
    this.state = { ...this.state, ...update };
    this.updates.fire(update);
  }
}
