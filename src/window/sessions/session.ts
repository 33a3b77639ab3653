import type { DeviceRequest } from '../../base/deviceInfo.ts';
import { type ErrorData, errorData, RankscopeError } from '../../base/errors.ts';
import type { MatrixFinding, Skipped } from '../../model/findings.ts';
import type { SmokeTest } from '../../model/generation.ts';
import { IDLE, type InspectorSnapshot, type InspectorUpdate, type RunState } from '../../protocol/page.ts';
import type { AnalysisProgress, AnalyzeRequest, CheckpointView, Service, Spectrum } from '../../protocol/service.ts';
import { Emitter } from '../emitter.ts';
import { Batch } from './batch.ts';
import type { Memory } from './memory.ts';
import { OneRun } from './oneRun.ts';
import { Trials } from './trials.ts';

export interface SessionHost {
  readonly service: Service;
  /** The current settings: the requested engine, and whether the cache may be used. */
  readonly request: () => Pick<AnalyzeRequest, 'engine' | 'threads' | 'cache'>;
}

/**
 * The state of one checkpoint, independent of the pages that show it: each page gets one snapshot, and then the
 * changes. Findings survive a cancelled or failed run, and the next run continues from them.
 */
export class Session {
  /** Changes, batched over 50 ms: a snapshot plus its updates is the next snapshot. */
  readonly updates = new Emitter<InspectorUpdate>();
  /** The findings were discarded because the file changed. An update cannot express that: pages must be reloaded. */
  readonly resets = new Emitter<void>();
  readonly trials: Trials;
  private checkpoint: CheckpointView | null = null;
  private error: ErrorData | null = null;
  private engine: InspectorSnapshot['engine'] = null;
  private smokeTest: SmokeTest | null = null;
  private statistics: InspectorSnapshot['statistics'] = null;
  private readonly findingsByName = new Map<string, MatrixFinding>();
  private readonly skippedByName = new Map<string, Skipped>();
  private runState: RunState = IDLE;
  private picked: Readonly<Record<string, number>> = {};
  private selected: string | null = null;
  private opening: Promise<CheckpointView | null> | undefined;
  private readonly running = new OneRun();
  private readonly batch = new Batch((update) => this.updates.fire(update));

  constructor(
    readonly path: string,
    private readonly host: SessionHost,
    private readonly memory: Memory,
  ) {
    this.trials = new Trials(path, {
      service: host.service,
      request: host.request,
      statistics: () => this.statisticsPath,
      told: (trialStep) => this.tell({ trialStep }),
    });
    const file = memory.get<string>(statisticsKey(path));
    if (file !== undefined) this.statistics = { path: file, summary: null, remarks: [] };
  }

  snapshot(): InspectorSnapshot {
    // The snapshot includes what is still in the batch, which must not be sent after it.
    this.batch.flush();
    return {
      checkpoint: this.checkpoint,
      error: this.error,
      engine: this.engine,
      statistics: this.statistics,
      smokeTest: this.smokeTest,
      findings: [...this.findingsByName.values()],
      skipped: [...this.skippedByName.values()],
      run: this.runState,
      ranks: this.picked,
      selected: this.selected,
    };
  }

  get view(): CheckpointView | null {
    return this.checkpoint;
  }

  get run(): RunState {
    return this.runState;
  }

  get ranks(): Readonly<Record<string, number>> {
    return this.picked;
  }

  /** Number of matrices with a finding. */
  get found(): number {
    return this.findingsByName.size;
  }

  finding(name: string): MatrixFinding | undefined {
    return this.findingsByName.get(name);
  }

  get findings(): IterableIterator<MatrixFinding> {
    return this.findingsByName.values();
  }

  /** Reads the directory once; null if it cannot be read, and the snapshot says why. */
  open(device?: DeviceRequest): Promise<CheckpointView | null> {
    this.opening ??= this.read(device);
    return this.opening;
  }

  /** Analyzes what is not known yet, or returns the current run. Never rejects: pages show what went wrong. */
  start(): Promise<void> {
    return this.running.start((signal) => this.analyze(signal));
  }

  /** Ends the run; its findings stay. */
  cancel(): Promise<void> {
    return this.running.cancel();
  }

  /** The file of statistics in use, or null. */
  get statisticsPath(): string | null {
    return this.statistics?.path ?? null;
  }

  /** Uses the statistics of a file from now on, or none, and measures again what depends on them. */
  async useStatistics(file: string | null): Promise<void> {
    await this.running.cancel();
    this.forgetActivations();
    this.setStatistics(file === null ? null : { path: file, summary: null, remarks: [] });
    await this.memory.update(statisticsKey(this.path), file ?? undefined);
    await this.start();
  }

  async prioritize(names: readonly string[]): Promise<void> {
    if (this.running.isRunning) await this.host.service.prioritize({ path: this.path, names });
  }

  spectrum(name: string): Promise<Spectrum> {
    const activations = this.statisticsPath;
    return this.host.service.spectrum({ path: this.path, name, ...(activations === null ? {} : { activations }) });
  }

  setRanks(ranks: Readonly<Record<string, number>>): void {
    this.picked = ranks;
    this.tell({ ranks });
  }

  /** Notes the matrix that the user selected on a page, which shows it already. */
  select(name: string): void {
    this.selected = name;
  }

  /** Notes how the file continued a prompt. */
  setSmokeTest(smokeTest: SmokeTest | null): void {
    this.smokeTest = smokeTest;
    this.tell({ smokeTest });
  }

  /** Makes the pages show this matrix. */
  reveal(name: string): void {
    this.selected = name;
    this.tell({ selected: name });
  }

  /** Takes over archived findings, unless something is known already. */
  restore(view: CheckpointView, findings: readonly MatrixFinding[], skipped: readonly Skipped[]): void {
    if (this.checkpoint !== null || this.findingsByName.size > 0) return;
    this.checkpoint = view;
    for (const finding of findings) this.findingsByName.set(finding.name, finding);
    for (const entry of skipped) this.skippedByName.set(entry.name, entry);
    this.tell({ checkpoint: view, findings, skipped });
  }

  private async read(device?: DeviceRequest): Promise<CheckpointView | null> {
    try {
      const view = await this.host.service.open({ path: this.path, ...(device ? { device } : {}) });
      const stale = this.error !== null && this.error.code !== 'engine';
      if (this.checkpoint && (stale || isOther(this.checkpoint, view))) this.forgetFindings();
      this.checkpoint = view;
      this.error = null;
      this.tell({ checkpoint: view, error: null });
      return view;
    } catch (error) {
      // A failure is not kept: the file may be there the next time.
      this.opening = undefined;
      this.fail(error);
      return null;
    }
  }

  private async analyze(signal: AbortSignal): Promise<void> {
    // After a failure the file may have been replaced.
    if (this.error !== null) this.opening = undefined;
    this.update({ status: 'running', done: 0, total: 0, message: 'Reading the directory', secondsLeft: null });
    if ((await this.open(this.host.request())) === null) return;
    const file = this.statisticsPath;
    try {
      const analysis = await this.host.service.analyze(
        {
          path: this.path,
          mode: 'both',
          listed: false,
          ...(file === null ? {} : { activations: file }),
          ...this.host.request(),
        },
        { signal, progress: (progress) => this.onProgress(progress) },
      );
      this.engine = analysis.engine;
      this.tell({ engine: analysis.engine });
      if (file !== null && analysis.activations) {
        const known = this.checkpoint?.warnings ?? [];
        const remarks = (analysis.warnings ?? []).filter((warning) => !known.includes(warning));
        this.setStatistics({ path: file, summary: analysis.activations, remarks });
      }
      const total = this.found;
      this.update({ status: 'done', done: total, total, message: '', secondsLeft: null });
    } catch (error) {
      if (signal.aborted || (error instanceof RankscopeError && error.code === 'cancelled')) {
        this.update({ ...this.runState, status: 'cancelled', message: '', secondsLeft: null });
      } else {
        // Statistics of another model, or a file that is gone: the next run goes without them.
        if (error instanceof RankscopeError && file !== null && error.subject === file) this.setStatistics(null);
        this.fail(error);
      }
    }
  }

  private setStatistics(statistics: InspectorSnapshot['statistics']): void {
    this.statistics = statistics;
    this.tell({ statistics });
  }

  /** Takes the measures of W X out of the findings; those of W stay. */
  private forgetActivations(): void {
    const changed = [...this.findingsByName.values()].flatMap(({ activations, ...own }) => (activations ? [own] : []));
    for (const finding of changed) this.findingsByName.set(finding.name, finding);
    if (changed.length > 0) this.tell({ findings: changed });
  }

  private onProgress(progress: AnalysisProgress): void {
    const { engine, finding, skipped } = progress;
    if (engine) {
      this.engine = engine;
      this.tell({ engine });
    }
    if (finding) {
      this.findingsByName.set(finding.name, finding);
      this.tell({ findings: [finding] });
    }
    if (skipped) {
      this.skippedByName.set(skipped.name, skipped);
      this.tell({ skipped: [skipped] });
    }
    // The engine counts steps: the preview and the exact values of a matrix are two. People count matrices.
    const total = this.checkpoint?.matrices.length ?? progress.total;
    this.update({
      status: 'running',
      done: progress.total > 0 ? Math.floor((total * progress.done) / progress.total) : 0,
      total,
      message: progress.message,
      secondsLeft: progress.secondsLeft ?? null,
    });
  }

  private fail(error: unknown): void {
    this.error = errorData(error, this.path);
    this.tell({ error: this.error });
    this.update({ ...this.runState, status: 'failed', message: '', secondsLeft: null });
  }

  private forgetFindings(): void {
    this.batch.flush();
    this.findingsByName.clear();
    this.skippedByName.clear();
    this.resets.fire();
  }

  private update(state: RunState): void {
    this.runState = state;
    this.tell({ run: state });
  }

  private tell(update: InspectorUpdate): void {
    this.batch.add(update);
  }
}

const statisticsKey = (path: string): string => `statistics:${path}`;

/** Whether the content differs, as far as the directory can tell. */
function isOther(before: CheckpointView, after: CheckpointView): boolean {
  return before.bytes !== after.bytes || before.tensors.length !== after.tensors.length;
}
