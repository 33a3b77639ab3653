import { errorData, RankscopeError } from '../../base/errors.ts';
import { SHARED_LAYERS } from '../../model/plan/planRequest.ts';
import { SHARING_DEFAULTS } from '../../model/sharing/sharing.ts';
import { IDLE, type SharingSettings, type SharingSnapshot } from '../../protocol/page.ts';
import type { Service } from '../../protocol/service.ts';
import { Emitter } from '../emitter.ts';
import { OneRun } from '../sessions/oneRun.ts';

/** Shortest time between two progress reports: a small matrix takes a millisecond. */
const REPORT_MS = 100;

/** What the layers of a checkpoint share, independent of the page that shows it. */
export class SharingRun {
  readonly updates = new Emitter<Partial<SharingSnapshot>>();
  private state: SharingSnapshot;
  private readonly running = new OneRun();

  constructor(
    path: string,
    private readonly service: Pick<Service, 'sharing'>,
  ) {
    const settings = { keep: SHARING_DEFAULTS.keep, layers: SHARED_LAYERS, text: null };
    this.state = { path, settings, report: null, run: IDLE, error: null };
  }

  snapshot(): SharingSnapshot {
    return this.state;
  }

  /** Other settings count from the next run on. */
  change(settings: SharingSettings): void {
    this.tell({ settings });
  }

  /** Starts a run, or returns the current one. Never rejects: the page shows what went wrong. */
  start(): Promise<void> {
    return this.running.start((signal) => this.find(signal));
  }

  cancel(): Promise<void> {
    return this.running.cancel();
  }

  private async find(signal: AbortSignal): Promise<void> {
    this.tell({ error: null, run: { ...IDLE, status: 'running', message: 'Equal tensors' } });
    const { path, settings } = this.state;
    const { text, ...sizes } = settings;
    let last = 0;
    try {
      const report = await this.service.sharing(
        { path, ...SHARING_DEFAULTS, ...sizes, ...(text === null ? {} : { text: { text } }) },
        {
          signal,
          progress: ({ done, total, message, secondsLeft = null }) => {
            const now = performance.now();
            if (now - last < REPORT_MS) return;
            last = now;
            this.tell({ run: { status: 'running', done, total, message, secondsLeft } });
          },
        },
      );
      this.tell({ report, run: { ...IDLE, status: 'done' } });
    } catch (error) {
      const { run } = this.state;
      if (signal.aborted || (error instanceof RankscopeError && error.code === 'cancelled'))
        this.tell({ run: { ...run, status: 'cancelled', message: '' } });
      else this.tell({ error: errorData(error, path), run: { ...run, status: 'failed', message: '' } });
    }
  }

  private tell(update: Partial<SharingSnapshot>): void {
    this.state = { ...this.state, ...update };
    this.updates.fire(update);
  }
}
