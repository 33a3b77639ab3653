import { type ComparisonSnapshot, IDLE } from '../protocol/page.ts';
import type { Service } from '../protocol/service.ts';
import { Emitter } from './emitter.ts';
import { followedRun } from './sessions/followedRun.ts';
import { OneRun } from './sessions/oneRun.ts';

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

  private compare(signal: AbortSignal): Promise<void> {
    const { paths } = this.state;
    return followedRun<ComparisonSnapshot>({
      path: paths[0] ?? '',
      signal,
      message: 'Reading the adapters',
      tell: (update) => this.tell(update),
      work: async (progress) => {
        const comparison = await this.service.compare({ paths }, { signal, progress });
        const total = comparison.layers.length;
        return { comparison, run: { ...IDLE, status: 'done', done: total, total } };
      },
    });
  }

  private tell(update: Partial<ComparisonSnapshot>): void {
    this.state = { ...this.state, ...update };
    this.updates.fire(update);
  }
}
