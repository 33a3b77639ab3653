import type { DeviceRequest } from '../../base/deviceInfo.ts';
import type { DiffedMatrix } from '../../model/diff/diff.ts';
import { parseHeads, type RestoreRequest } from '../../model/diff/restore.ts';
import { type DiffSnapshot, IDLE } from '../../protocol/page.ts';
import type { Service } from '../../protocol/service.ts';
import { Emitter } from '../emitter.ts';
import { followedRun } from '../sessions/followedRun.ts';
import { OneRun } from '../sessions/oneRun.ts';

/** Two models compared, independent of the page that shows it. */
export class ModelComparison {
  readonly updates = new Emitter<Partial<DiffSnapshot>>();
  private state: DiffSnapshot;
  private readonly running = new OneRun();

  constructor(
    base: string,
    other: string,
    private readonly service: Pick<Service, 'diff'>,
    private readonly device: () => DeviceRequest,
  ) {
    this.state = { base, other, diff: null, run: IDLE, error: null };
  }

  snapshot(): DiffSnapshot {
    return this.state;
  }

  /** Starts a run, or returns the current one. Never rejects: the page shows what went wrong. */
  start(): Promise<void> {
    return this.running.start((signal) => this.compare(signal));
  }

  cancel(): Promise<void> {
    return this.running.cancel();
  }

  /** Takes the other model for the base. */
  async swap(): Promise<void> {
    await this.cancel();
    const { base, other } = this.state;
    this.tell({ base: other, other: base, diff: null });
    await this.start();
  }

  /** All singular values and angles of the matrices of one of the base's tensors. */
  async spectra(name: string): Promise<readonly DiffedMatrix[]> {
    const { base, other } = this.state;
    const { matrices } = await this.service.diff({ base, other, tensors: [name], spectra: true, ...this.device() });
    return matrices;
  }

  /**
   * What writes the other model with these heads of the base: `3.1,3.4`.
   * @throws RankscopeError 'wrong-use' for a text that names no heads
   */
  restoring(heads: string): Omit<RestoreRequest, 'out'> {
    const { base, other } = this.state;
    return { base, other, heads: parseHeads(heads) };
  }

  private compare(signal: AbortSignal): Promise<void> {
    const { base, other } = this.state;
    return followedRun<DiffSnapshot>({
      path: base,
      signal,
      message: 'Reading the checkpoints',
      tell: (update) => this.tell(update),
      work: async (progress) => ({
        diff: await this.service.diff({ base, other, ...this.device() }, { signal, progress }),
      }),
    });
  }

  private tell(update: Partial<DiffSnapshot>): void {
    this.state = { ...this.state, ...update };
    this.updates.fire(update);
  }
}
