import type { DeviceRequest } from '../../base/deviceInfo.ts';
import { errorData } from '../../base/errors.ts';
import type { LoraSuggestRequest } from '../../model/lora/suggestion.ts';
import { IDLE, type LoraSnapshot } from '../../protocol/page.ts';
import type { Service } from '../../protocol/service.ts';
import { Emitter } from '../emitter.ts';
import { followedRun } from '../sessions/followedRun.ts';
import { OneRun } from '../sessions/oneRun.ts';

/** What can be adapted in a checkpoint and with which ranks, independent of the page that shows it. */
export class LoraDesk {
  readonly updates = new Emitter<Partial<LoraSnapshot>>();
  private state: LoraSnapshot;
  private readonly running = new OneRun();

  /** An empty path stands for no checkpoint. */
  constructor(
    path: string,
    private readonly service: Pick<Service, 'loraCount' | 'loraSuggest'>,
    private readonly device: () => DeviceRequest,
  ) {
    this.state = { path, model: null, activations: null, suggestion: null, run: IDLE, error: null };
  }

  snapshot(): LoraSnapshot {
    return this.state;
  }

  /** Reads which modules the checkpoint has. Never rejects: the page shows what went wrong. */
  async open(): Promise<void> {
    const { path } = this.state;
    if (path === '') return;
    try {
      const { model } = await this.service.loraCount({ path });
      this.tell({ model, error: null });
    } catch (error) {
      this.tell({ error: errorData(error, path) });
    }
  }

  /** A file of statistics for the next run, or null for none. */
  useActivations(activations: string | null): void {
    this.tell({ activations });
  }

  /** Starts a run, or returns the current one. Never rejects: the page shows what went wrong. */
  suggest(choice: Pick<LoraSuggestRequest, 'targets' | 'rank'>): Promise<void> {
    return this.running.start((signal) => this.find(choice, signal));
  }

  cancel(): Promise<void> {
    return this.running.cancel();
  }

  private find(choice: Pick<LoraSuggestRequest, 'targets' | 'rank'>, signal: AbortSignal): Promise<void> {
    const { path, activations } = this.state;
    const request = { path, ...choice, ...this.device(), ...(activations === null ? {} : { activations }) };
    return followedRun<LoraSnapshot>({
      path,
      signal,
      message: 'Singular values',
      tell: (update) => this.tell(update),
      work: async (progress) => ({ suggestion: await this.service.loraSuggest(request, { signal, progress }) }),
    });
  }

  private tell(update: Partial<LoraSnapshot>): void {
    this.state = { ...this.state, ...update };
    this.updates.fire(update);
  }
}
