import { SHARED_LAYERS } from '../../model/plan/planRequest.ts';
import { SHARING_DEFAULTS } from '../../model/sharing/sharing.ts';
import { IDLE, type SharingSettings, type SharingSnapshot } from '../../protocol/page.ts';
import type { Service } from '../../protocol/service.ts';
import { Emitter } from '../emitter.ts';
import { followedRun } from '../sessions/followedRun.ts';
import { OneRun } from '../sessions/oneRun.ts';
import { textFileOf } from '../textFile.ts';

/** What the layers of a checkpoint share, independent of the page that shows it. */
export class SharingRun {
  readonly updates = new Emitter<Partial<SharingSnapshot>>();
  private state: SharingSnapshot;
  private readonly running = new OneRun();

  constructor(
    path: string,
    private readonly service: Pick<Service, 'sharing'>,
  ) {
    const settings = { keep: SHARING_DEFAULTS.keep, layers: SHARED_LAYERS, activations: null, text: null };
    this.state = { path, settings, report: null, run: IDLE, error: null };
  }

  snapshot(): SharingSnapshot {
    return this.state;
  }

  /** Other settings count from the next run on. */
  change(settings: SharingSettings): void {
    this.tell({ settings });
  }

  /** A file of statistics for the next run, or null for none. */
  useActivations(activations: string | null): void {
    this.change({ ...this.state.settings, activations });
  }

  /** Starts a run, or returns the current one. Never rejects: the page shows what went wrong. */
  start(): Promise<void> {
    return this.running.start((signal) => this.find(signal));
  }

  cancel(): Promise<void> {
    return this.running.cancel();
  }

  private find(signal: AbortSignal): Promise<void> {
    const { path, settings } = this.state;
    const { text, activations, ...sizes } = settings;
    const requested = async () => {
      const sources = {
        ...(activations === null ? {} : { activations }),
        ...(text === null ? {} : { text: await textFileOf(text) }),
      };
      return { path, ...SHARING_DEFAULTS, ...sizes, ...sources };
    };
    return followedRun<SharingSnapshot>({
      path,
      signal,
      message: 'Equal tensors',
      tell: (update) => this.tell(update),
      work: async (progress) => ({ report: await this.service.sharing(await requested(), { signal, progress }) }),
    });
  }

  private tell(update: Partial<SharingSnapshot>): void {
    this.state = { ...this.state, ...update };
    this.updates.fire(update);
  }
}
