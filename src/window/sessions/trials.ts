import type { DeviceRequest } from '../../base/deviceInfo.ts';
import type { Trial, TrialChoice, TrialPictureRequest, TrialPictures } from '../../model/trial.ts';
import type { Service } from '../../protocol/service.ts';

interface TrialsHost {
  readonly service: Service;
  /** The current settings. */
  readonly request: () => DeviceRequest;
  /** The file of statistics in use, or null. */
  readonly statistics: () => string | null;
  readonly told: (step: string) => void;
}

/** The trials of one checkpoint: one at a time, because the next one is what the person wants to see. */
export class Trials {
  private running: AbortController | undefined;

  constructor(
    private readonly path: string,
    private readonly host: TrialsHost,
  ) {}

  /** @throws RankscopeError 'cancelled' as soon as another trial starts, and what the service throws */
  async start(name: string, choice: TrialChoice): Promise<Trial> {
    this.cancel();
    const abort = new AbortController();
    this.running = abort;
    const activations = this.host.statistics();
    const request = {
      path: this.path,
      tensors: [name],
      values: true,
      ...choice,
      ...(activations !== null && { activations }),
      ...this.device(),
    };
    const progress = ({ message }: { message: string }) => this.host.told(message.replace(`${name}: `, ''));
    try {
      return await this.host.service.trial(request, { signal: abort.signal, progress });
    } finally {
      if (this.running === abort) this.running = undefined;
    }
  }

  cancel(): void {
    this.running?.abort();
  }

  pictures(request: Omit<TrialPictureRequest, 'path'>): Promise<TrialPictures> {
    return this.host.service.trialPictures({ ...request, path: this.path, ...this.device() });
  }

  private device() {
    const { engine, threads } = this.host.request();
    return { ...(engine !== undefined && { engine }), ...(threads !== undefined && { threads }) };
  }
}
