import { basename } from 'node:path';
import type { DeviceRequest } from '../../base/deviceInfo.ts';
import { errorData, RankscopeError } from '../../base/errors.ts';
import type { Evaluation } from '../../model/evaluation.ts';
import type { Plan } from '../../model/plan/plan.ts';
import { type EvaluationSnapshot, IDLE } from '../../protocol/page.ts';
import type { Service } from '../../protocol/service.ts';
import { Emitter } from '../emitter.ts';
import type { Memory } from '../sessions/memory.ts';
import { OneRun } from '../sessions/oneRun.ts';
import type { TextFile } from '../textFile.ts';

/** What to measure on which text. */
export interface MeasureRequest extends TextFile {
  readonly ranks: readonly number[];
  readonly plans: readonly { readonly name: string; readonly plan: Plan }[];
  readonly files: readonly string[];
  /** Tokens of a window, and the most to use; the defaults of the service if left out. */
  readonly context?: number;
  readonly tokens?: number;
}

export interface EvaluationsHost {
  readonly service: Pick<Service, 'evaluate'>;
  /** The current settings. */
  readonly device: () => DeviceRequest;
  /** Where the runs are kept from one window to the next. */
  readonly memory: Memory;
}

/** Shortest time between two progress reports. */
const REPORT_MS = 100;
/** Runs kept for a checkpoint: a hundred curves are not readable, and each takes a few kilobytes. */
const KEPT = 50;

/** The evaluations of one checkpoint, independent of the page that shows them: runs accumulate and outlive the page. */
export class Evaluations {
  readonly updates = new Emitter<Partial<EvaluationSnapshot>>();
  private state: EvaluationSnapshot;
  private last: MeasureRequest | undefined;
  private readonly running = new OneRun();

  constructor(
    readonly path: string,
    private readonly host: EvaluationsHost,
  ) {
    const evaluations = host.memory.get<readonly Evaluation[]>(keyOf(path)) ?? [];
    this.state = { path, evaluations, run: IDLE, asked: '', error: null };
  }

  snapshot(): EvaluationSnapshot {
    return this.state;
  }

  /** Measures; a run that is under way is cancelled first. Never rejects: the page shows what went wrong. */
  async measure(request: MeasureRequest): Promise<void> {
    await this.running.cancel();
    this.last = request;
    await this.running.start((signal) => this.evaluate(request, signal));
  }

  /** Measures once more what the last run was asked for. */
  async again(): Promise<void> {
    if (this.last) await this.measure(this.last);
  }

  cancel(): Promise<void> {
    return this.running.cancel();
  }

  /** Adds runs that are not known yet, whoever made them. */
  add(evaluations: readonly Evaluation[]): void {
    const known = new Set(this.state.evaluations.map((one) => JSON.stringify(one)));
    const added = evaluations.filter((one) => !known.has(JSON.stringify(one)));
    if (added.length === 0) return;
    const all = [...this.state.evaluations, ...added].slice(-KEPT);
    void this.host.memory.update(keyOf(this.path), all);
    this.tell({ evaluations: all });
  }

  /** Forgets all runs. */
  clear(): void {
    void this.host.memory.update(keyOf(this.path), undefined);
    this.tell({ evaluations: [], error: null });
  }

  private async evaluate(request: MeasureRequest, signal: AbortSignal): Promise<void> {
    const run = { ...IDLE, status: 'running' as const, message: 'Reading the model' };
    this.tell({ error: null, asked: askedText(request), run });
    let last = 0;
    try {
      const evaluation = await this.host.service.evaluate(
        { path: this.path, ...request, ...this.host.device() },
        {
          signal,
          progress: ({ done, total, message, secondsLeft }) => {
            const now = performance.now();
            if (now - last < REPORT_MS || signal.aborted) return;
            last = now;
            this.tell({ run: { status: 'running', done, total, message, secondsLeft: secondsLeft ?? null } });
          },
        },
      );
      this.add([evaluation]);
      this.tell({ run: { ...IDLE, status: 'done', done: 1, total: 1 } });
    } catch (error) {
      const { run: reached } = this.state;
      const isCancelled = signal.aborted || (error instanceof RankscopeError && error.code === 'cancelled');
      this.tell({
        error: isCancelled ? null : errorData(error, this.path),
        run: { ...reached, status: isCancelled ? 'cancelled' : 'failed', message: '', secondsLeft: null },
      });
    }
  }

  private tell(update: Partial<EvaluationSnapshot>): void {
    this.state = { ...this.state, ...update };
    this.updates.fire(update);
  }
}

const keyOf = (path: string): string => `evaluations:${path}`;

/** `ranks 16, 32 and 80 % kept on text.txt`. */
export function askedText({ text, ids, ranks, plans, files }: MeasureRequest): string {
  const parts = [
    ...(ranks.length > 0 ? [`${ranks.length === 1 ? 'rank' : 'ranks'} ${ranks.join(', ')}`] : []),
    ...plans.map(({ name }) => name),
    ...files.map((file) => basename(file)),
  ];
  return `${parts.length === 0 ? 'the dense model' : parts.join(' and ')} on ${basename(ids ?? text ?? '')}`;
}
