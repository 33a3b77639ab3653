import type { CallContext, Calls, Service } from '../../protocol/service.ts';
import { Emitter } from '../emitter.ts';
import type { EngineProcess } from './engineProcess.ts';

/** Starts a process; resolves once it has answered its first call. */
export type StartEngine = () => Promise<EngineProcess>;

/**
 * The engine as the rest of the extension sees it: always available. The first call starts the process. If it dies, the
 * pending calls fail with a clear error, and the next call starts a new process.
 */
export class EngineClient {
  /** Number of pending calls. */
  readonly busy = new Emitter<number>();
  /** The process ended without being asked to. */
  readonly died = new Emitter<{ reason: string; pending: number }>();
  readonly service: Service;
  private starting: Promise<EngineProcess> | undefined;
  private running: EngineProcess | undefined;
  private pending = 0;
  private generation = 0;
  private isStale = false;

  constructor(private readonly startProcess: StartEngine) {
    const call =
      <Name extends keyof Calls>(name: Name) =>
      (params: Calls[Name]['params'], context?: CallContext<Calls[Name]['progress']>) =>
        this.call(name, params, context);
    this.service = {
      open: call('open'),
      analyze: call('analyze'),
      prioritize: call('prioritize'),
      spectrum: call('spectrum'),
      compare: call('compare'),
      sharing: call('sharing'),
      trial: call('trial'),
      trialPictures: call('trialPictures'),
      diff: call('diff'),
      training: call('training'),
      restoreHeads: call('restoreHeads'),
      loraCount: call('loraCount'),
      loraWrite: call('loraWrite'),
      loraExtract: call('loraExtract'),
      loraInit: call('loraInit'),
      loraSuggest: call('loraSuggest'),
      plan: call('plan'),
      planCurves: call('planCurves'),
      apply: call('apply'),
      estimateApply: call('estimateApply'),
      evaluate: call('evaluate'),
      calibrate: call('calibrate'),
      generate: call('generate'),
      script: call('script'),
      compress: call('compress'),
      estimateCompression: call('estimateCompression'),
      layerCode: call('layerCode'),
      clearCache: call('clearCache'),
    };
  }

  /** The process id, while a process runs. */
  get pid(): number | undefined {
    return this.running?.pid;
  }

  get isIdle(): boolean {
    return this.pending === 0;
  }

  /** Ends the process as soon as no call is pending. The next call starts a new one with the current settings. */
  renew(): void {
    this.isStale = true;
    if (this.isIdle) this.stop();
  }

  /** Ends the process. The next call starts a new one with the current settings. */
  stop(): void {
    const engine = this.running;
    this.isStale = false;
    this.generation++;
    this.running = undefined;
    this.starting = undefined;
    engine?.service.close('it was stopped');
    engine?.kill();
  }

  private async call<Name extends keyof Calls>(
    name: Name,
    params: Calls[Name]['params'],
    context: CallContext<Calls[Name]['progress']> | undefined,
  ): Promise<Calls[Name]['result']> {
    this.busy.fire(++this.pending);
    try {
      const { service } = await this.engine();
      const remote = service[name] as Service[Name];
      return await remote(params, context);
    } finally {
      this.busy.fire(--this.pending);
      if (this.isStale) this.renew();
    }
  }

  private engine(): Promise<EngineProcess> {
    this.starting ??= this.start();
    return this.starting;
  }

  private async start(): Promise<EngineProcess> {
    const generation = this.generation;
    const engine = await this.startProcess().catch((error: unknown) => {
      // A failed start is not kept: the settings may be corrected before the next call.
      if (generation === this.generation) this.starting = undefined;
      throw error;
    });
    if (generation !== this.generation) {
      engine.service.close('it was stopped');
      engine.kill();
      return engine;
    }
    this.running = engine;
    void engine.ended.then((reason) => this.onEnd(engine, reason));
    return engine;
  }

  private onEnd(engine: EngineProcess, reason: string): void {
    if (this.running !== engine) return;
    this.running = undefined;
    this.starting = undefined;
    this.died.fire({ reason, pending: this.pending });
  }
}
