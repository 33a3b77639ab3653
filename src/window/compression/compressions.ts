import { basename } from 'node:path';
import type { DeviceRequest } from '../../base/deviceInfo.ts';
import { errorData, RankscopeError } from '../../base/errors.ts';
import type { CompressionProgress, CompressionReport, CompressRequest } from '../../model/compression.ts';
import { type CompressionSnapshot, IDLE } from '../../protocol/page.ts';
import type { Service } from '../../protocol/service.ts';
import { Emitter } from '../emitter.ts';
import type { Memory } from '../sessions/memory.ts';
import { OneRun } from '../sessions/oneRun.ts';

export interface CompressionsHost {
  readonly service: Pick<Service, 'compress'>;
  /** The current settings. */
  readonly device: () => DeviceRequest;
  /** Where the last report is kept from one window to the next. */
  readonly memory: Memory;
}

/** What is asked for, without what the settings say. */
export type CompressionTask = Omit<CompressRequest, 'path' | keyof DeviceRequest>;

/** Shortest time between two updates that only move the bar. */
const REPORT_MS = 100;

/** The compression of one checkpoint, independent of the page that shows it: a run and its result outlive the page. */
export class Compression {
  readonly updates = new Emitter<Partial<CompressionSnapshot>>();
  private state: CompressionSnapshot;
  private last: CompressionTask | undefined;
  private told = 0;
  private readonly running = new OneRun();

  constructor(
    readonly path: string,
    private readonly host: CompressionsHost,
  ) {
    const report = host.memory.get<CompressionReport>(keyOf(path)) ?? null;
    this.state = {
      path,
      ...{ out: report?.out ?? '', asked: report ? reportedText(report) : '' },
      ...{ run: IDLE, stage: 'text', estimate: report?.estimate ?? null },
      ...{ blocks: report?.blocks ?? [], layers: report?.blocks.length ?? 0, current: null, report, error: null },
    };
  }

  snapshot(): CompressionSnapshot {
    return this.state;
  }

  get isRunning(): boolean {
    return this.running.isRunning;
  }

  /** Compresses; a run that is under way is cancelled first. Never rejects: the page shows what went wrong. */
  async start(task: CompressionTask): Promise<CompressionReport | undefined> {
    await this.running.cancel();
    this.last = task;
    await this.running.start((signal) => this.compress(task, signal));
    return this.state.run.status === 'done' ? (this.state.report ?? undefined) : undefined;
  }

  /** Runs once more what was stopped or failed; what is finished is kept on the disk. */
  async again(): Promise<void> {
    if (this.last) await this.start(this.last);
  }

  cancel(): Promise<void> {
    return this.running.cancel();
  }

  private async compress(task: CompressionTask, signal: AbortSignal): Promise<void> {
    this.tell({
      ...{ error: null, report: null, blocks: [], layers: 0, current: null, estimate: null, stage: 'text' },
      ...{ out: task.out, asked: askedText(task), run: { ...IDLE, status: 'running', message: 'Reading the model' } },
    });
    try {
      const report = await this.host.service.compress(
        { path: this.path, ...task, ...this.host.device() },
        { signal, progress: (step) => void (signal.aborted || this.take(step)) },
      );
      void this.host.memory.update(keyOf(this.path), report);
      const run = { ...IDLE, status: 'done', done: 1, total: 1 } as const;
      this.tell({ report, blocks: report.blocks, layers: report.blocks.length, current: null, run });
    } catch (error) {
      const isCancelled = signal.aborted || (error instanceof RankscopeError && error.code === 'cancelled');
      this.tell({
        error: isCancelled ? null : errorData(error, this.path),
        current: null,
        run: { ...this.state.run, status: isCancelled ? 'cancelled' : 'failed', message: '', secondsLeft: null },
      });
    }
  }

  private take({ stage, done, total, message, secondsLeft, ...step }: CompressionProgress): void {
    const { block, estimate } = step;
    const known = this.state.current;
    const current = step.step
      ? {
          layer: step.step.layer,
          losses: [...(known?.layer === step.step.layer ? known.losses : []), step.step.loss],
        }
      : block
        ? null
        : known;
    // Steps are kept even where they are not told at once.
    this.state = { ...this.state, current };
    const now = performance.now();
    const isNew = block !== undefined || estimate !== undefined || stage !== this.state.stage;
    if (!isNew && now - this.told < REPORT_MS) return;
    this.told = now;
    this.tell({
      stage,
      current,
      run: { status: 'running', done, total, message, secondsLeft: secondsLeft ?? null },
      ...(stage === 'blocks' ? { layers: total } : {}),
      ...(estimate ? { estimate } : {}),
      // A device that failed is started again, and passes the finished blocks anew.
      ...(block ? { blocks: [...this.state.blocks.filter(({ layer }) => layer !== block.layer), block] } : {}),
    });
  }

  private tell(update: Partial<CompressionSnapshot>): void {
    this.state = { ...this.state, ...update };
    this.updates.fire(update);
  }
}

/** The compressions of a window, by checkpoint. */
export class CompressionStore {
  private readonly known = new Map<string, Compression>();

  constructor(private readonly host: CompressionsHost) {}

  get(path: string): Compression {
    const compression = this.known.get(path) ?? new Compression(path, this.host);
    this.known.set(path, compression);
    return compression;
  }
}

const keyOf = (path: string): string => `compression:${path}`;

/** `80 % kept, fitted to text.txt`. */
function askedText({ keep, text, ids }: CompressionTask): string {
  const file = text ?? ids;
  return `${percent(keep)} kept, fitted to ${file === undefined ? 'a text that the model writes itself' : basename(file)}`;
}

function reportedText({ size, text }: CompressionReport): string {
  return `${percent(size.keep)} kept, fitted to ${text.name ?? 'a text that the model wrote itself'}`;
}

const percent = (share: number): string => `${Number((100 * share).toPrecision(4))} %`;
