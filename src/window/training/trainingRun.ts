import type { DeviceRequest } from '../../base/deviceInfo.ts';
import { IDLE, type TrainingSnapshot } from '../../protocol/page.ts';
import type { Service } from '../../protocol/service.ts';
import { Emitter } from '../emitter.ts';
import { followedRun } from '../sessions/followedRun.ts';
import { OneRun } from '../sessions/oneRun.ts';

/** The checkpoints of a training run followed, independent of the page that shows it. */
export class TrainingRun {
  readonly updates = new Emitter<Partial<TrainingSnapshot>>();
  private state: TrainingSnapshot;
  private readonly running = new OneRun();

  constructor(
    path: string,
    private readonly service: Pick<Service, 'training'>,
    private readonly device: () => DeviceRequest,
  ) {
    this.state = { path, report: null, run: IDLE, error: null };
  }

  snapshot(): TrainingSnapshot {
    return this.state;
  }

  /** Starts a run, or returns the current one. Never rejects: the page shows what went wrong. */
  start(): Promise<void> {
    return this.running.start((signal) => {
      const { path } = this.state;
      return followedRun<TrainingSnapshot>({
        path,
        signal,
        message: 'Reading the checkpoints',
        tell: (update) => this.tell(update),
        work: async (progress) => ({
          report: await this.service.training({ folder: path, ...this.device() }, { signal, progress }),
        }),
      });
    });
  }

  cancel(): Promise<void> {
    return this.running.cancel();
  }

  private tell(update: Partial<TrainingSnapshot>): void {
    this.state = { ...this.state, ...update };
    this.updates.fire(update);
  }
}
