import type { InputFactor } from '../../activations/statistics.ts';
import type { DeviceInfo, DeviceRequest } from '../../base/deviceInfo.ts';
import { concernsOneMatrix, RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import { yieldEvery } from '../../base/eventLoop.ts';
import { sideBySide } from '../../base/sideBySide.ts';
import type { Backend, RoutineOptions } from '../../devices/backend.ts';
import type { Analysis, MatrixFinding, Skipped } from '../../model/findings.ts';
import { nameMatcher } from '../../model/globs.ts';
import { isStored, type Matrix } from '../../model/matrix.ts';
import type { StoredMatrix } from '../../model/storedMatrix.ts';
import type { AnalysisProgress, AnalyzeRequest, CallContext } from '../../protocol/service.ts';
import { sizeOnDevice } from '../../spectrum/exact.ts';
import { subProgress } from '../../spectrum/load.ts';
import { activationFinding, computeSeen, seenKey } from '../activations/seen.ts';
import type { Activations } from '../activations/withActivations.ts';
import { type Cache, type CacheEntry, noCache } from '../cache/cache.ts';
import { cacheKey } from '../cache/cacheKey.ts';
import { distinctMatrices, type Opened, refuseChanged, viewOf } from '../checkpoints/opened.ts';
import { type Devices, fitsLane } from '../devices/devices.ts';
import { Pace, workOf } from './pace.ts';
import { withQuantization } from './quantization.ts';
import { compute, findingOf } from './results.ts';
import { Buffers, noticeEnd, type ReadAhead, readAhead, type TimedRows } from './rows.ts';
import { type Accuracy, provenanceOf, reaches, Schedule, type Sweep } from './sweeps.ts';

/**
 * How much of the next matrix is read ahead while one is computed: a 4096 x 11008 matrix in f32 fits. Matrices that are
 * computed side by side share as much.
 */
const READ_AHEAD_BYTES = 192 * 2 ** 20;
/** Concurrent look-ups in the cache, and how long they may hold the thread at a time. */
const LOOKUPS = 16;
const RECALL_MS = 4;
/** Interval between progress reports within one matrix. */
const WITHIN_MS = 250;

export interface AnalysisParts {
  readonly devices: Devices;
  readonly cache: Cache;
}

/** One analysis of one checkpoint, from the first matrix to the last. */
export class AnalysisRun {
  private readonly findings = new Map<string, MatrixFinding>();
  private readonly skipped: Skipped[] = [];
  private readonly pace = new Pace();
  private readonly cache: Cache;
  private readonly engine: DeviceRequest;
  private readonly wanted: (name: string) => boolean;
  private info: DeviceInfo | undefined;
  /** How many small matrices are computed side by side. */
  private lanes = 1;
  private wished: readonly string[] = [];
  private done = 0;
  private schedule = new Schedule([], 'exact');
  /** How well each matrix is known, by name. */
  private readonly known = new Map<string, Accuracy>();
  /** Sweeps that have not ended, the running one first. */
  private sweeps: Sweep[] = [];
  private readonly lookUps = new Map<Matrix, Promise<void>>();
  private tied: Promise<void> | undefined;
  /** Why the statistics of a matrix cannot be used, by its name. */
  private readonly withoutActivations = new Map<string, string>();
  /** Names of matrices that turned out to be equal to others. */
  private readonly dropped = new Set<string>();

  constructor(
    private readonly parts: AnalysisParts,
    private readonly opened: Opened,
    private readonly request: AnalyzeRequest,
    private readonly context: CallContext<AnalysisProgress>,
    private readonly activations?: Activations,
  ) {
    const { mode = 'exact' } = request;
    if (activations && mode !== 'exact' && mode !== 'both')
      throw new RankscopeError('wrong-use', `mode ${mode}`, 'W X is measured exactly only', 'Use the mode exact');
    this.cache = request.cache === false ? noCache : parts.cache;
    this.engine = parts.devices.settle(request);
    this.wanted = request.tensors?.length ? nameMatcher(request.tensors) : () => true;
  }

  /** Computes these next, as far as they are pending. */
  prioritize(names: readonly string[]): void {
    this.wished = names;
    this.sweeps[0]?.work.prioritize(names);
  }

  run(): Promise<Analysis> {
    return this.parts.devices.hold(this.engine, this.context.signal, (engine, lanes) => {
      this.lanes = lanes;
      return this.analyze(engine);
    });
  }

  private async analyze(engine: DeviceInfo): Promise<Analysis> {
    this.useEngine(engine);
    const schedule = new Schedule(this.chosen(), this.request.mode ?? 'exact');
    this.schedule = schedule;
    for (const matrix of schedule.matrices)
      for (const sweep of schedule.sweepsOf(matrix)) this.pace.expect(matrix, schedule.accuracyIn(sweep, matrix));
    this.sweeps = schedule.sweeps();
    const recalled = this.recall(engine.name);
    // Fails only if the sweeps do.
    recalled.catch(() => undefined);
    for (let sweep = this.sweeps[0]; sweep; sweep = this.sweeps[0]) {
      await this.sweep(sweep, (matrix) => this.lookUp(matrix, engine.name));
      this.sweeps.shift();
    }
    await recalled;
    await this.findTies();

    await refuseChanged(this.opened.checkpoint);
    return this.analysis(this.info ?? engine);
  }

  /** The engine in use, which is another one after the first has failed. */
  private useEngine(engine: DeviceInfo): void {
    if (this.info === engine) return;
    this.info = engine;
    this.report({ message: `Engine: ${engine.device}`, engine });
  }

  /** The requested matrices, each tied group that is known so far represented by its first. */
  private chosen(): readonly Matrix[] {
    const distinct = distinctMatrices(this.opened);
    const matrices = distinct.filter(({ name, tensorName }) => this.wanted(name) || this.wanted(tensorName));
    if (matrices.length > 0 || !this.request.tensors?.length) return matrices;
    throw new RankscopeError(
      'wrong-use',
      this.request.path,
      `none of its ${distinct.length} matrices matches ${this.request.tensors.join(', ')}`,
      'List the names with: rankscope info',
    );
  }

  /**
   * Finds tensors of equal content while the first results are computed: on a huge checkpoint the search takes longer
   * than they do. What turns out to be equal to another matrix of this analysis is not computed any more.
   */
  private findTies(): Promise<void> {
    this.tied ??= this.opened.tiesByContent(this.context.signal).then((groups) => {
      const chosen = new Set(this.schedule.matrices.map(({ tensorName }) => tensorName));
      const firsts = new Map(groups.flatMap(([first = '', ...others]) => others.map((name) => [name, first] as const)));
      for (const matrix of this.schedule.matrices)
        if (chosen.has(firsts.get(matrix.tensorName) ?? '')) this.drop(matrix);
    });
    return this.tied;
  }

  private drop(matrix: Matrix): void {
    const { name } = matrix;
    this.dropped.add(name);
    this.done += this.forget(matrix, () => true);
    this.report({ message: name, skipped: { name, reason: 'equal to another tensor, with which it is counted' } });
  }

  /** Reports results from the cache, while what is not in it is computed already. */
  private async recall(engine: string): Promise<void> {
    // Without a cache on disk nothing here waits for anything, and the first results would wait for all of it.
    const pause = yieldEvery(RECALL_MS);
    const { matrices } = this.schedule;
    for (let at = 0; at < matrices.length; at += LOOKUPS) {
      await pause();
      throwIfCancelled(this.context.signal, this.request.path);
      const some = matrices.slice(at, at + LOOKUPS);
      await Promise.all(some.map((matrix) => this.lookUp(matrix, engine)));
    }
  }

  /** Reports the result of a matrix if it is in the cache, and removes it from the work; looks once. */
  private lookUp(matrix: Matrix, engine: string): Promise<void> {
    const look = async () => {
      const wanted = this.schedule.sweepsOf(matrix);
      // The best that is known needs nothing less; a coarse value is not even looked for where none is wanted.
      for (const accuracy of ['exact', 'preview', 'coarse'] as const) {
        if (accuracy !== 'exact' && !wanted.includes(accuracy)) continue;
        const entry = await this.cache.get(cacheKey(matrix, engine, accuracy));
        if (!entry) continue;
        const factor = this.factorOf(matrix, accuracy);
        const seen = factor && (await this.cache.get(seenKey(factor.matrix, factor.factor, engine)));
        if (factor && !seen) {
          this.showed(matrix, entry, accuracy, undefined);
          return;
        }
        const steps = wanted.filter((sweep) => reaches(accuracy, sweep)).length;
        this.found(matrix, { entry, seen }, accuracy, steps);
        this.forget(matrix, (sweep) => reaches(accuracy, sweep.accuracy));
        return;
      }
    };
    const looking = this.lookUps.get(matrix) ?? look();
    this.lookUps.set(matrix, looking);
    return looking;
  }

  /** Removes a matrix from these sweeps, and returns the number of those in which it was still waiting. */
  private forget(matrix: Matrix, from: (sweep: Sweep) => boolean): number {
    const pending = this.sweeps.filter((sweep) => from(sweep) && sweep.work.drop(matrix.name));
    for (const { accuracy } of pending) this.pace.drop(matrix, this.schedule.accuracyIn(accuracy, matrix));
    return pending.length;
  }

  /** Only the first line takes large matrices, so that no more than one of them is read ahead. */
  private async sweep(sweep: Sweep, lookUp: (matrix: Matrix) => Promise<void>): Promise<void> {
    const { work, accuracy } = sweep;
    work.prioritize(this.wished);
    const fits = (matrix: Matrix) => this.isSmall(matrix, accuracy);
    await sideBySide(this.lanes, (line, isOver) =>
      this.advance(sweep, () => (isOver() ? undefined : work.next(line === 0 ? undefined : fits)), lookUp),
    );
  }

  /** Whether others may be computed beside this matrix. */
  private isSmall(matrix: Matrix, sweep: Accuracy): boolean {
    const accuracy = this.schedule.accuracyIn(sweep, matrix);
    // For its values only a part of a tall matrix is on the device at a time; a preview and W X hold all of it.
    const isWhole = accuracy !== 'exact' || this.factorOf(matrix, accuracy) !== undefined;
    return fitsLane(isWhole ? matrix : sizeOnDevice(matrix), this.lanes, 'values');
  }

  /**
   * Whether this matrix is computed beside others. One that takes long has the whole device, unless what is left for
   * the other lanes keeps them busy for at least half of the time.
   */
  private isBeside(matrix: Matrix, { accuracy, work }: Sweep): boolean {
    if (fitsLane(matrix, this.lanes, 'values')) return true;
    if (!this.isSmall(matrix, accuracy)) return false;
    const workInLane = (each: Matrix) =>
      this.isSmall(each, accuracy) ? workOf(each, this.schedule.accuracyIn(accuracy, each)) : 0;
    return work.hasBeside(matrix, ((this.lanes - 1) / 2) * workInLane(matrix), workInLane);
  }

  /** Computes one matrix after another while the one behind it is read. */
  private async advance(
    sweep: Sweep,
    takeNext: () => Matrix | undefined,
    lookUp: (matrix: Matrix) => Promise<void>,
  ): Promise<void> {
    const { accuracy, work } = sweep;
    const { checkpoint } = this.opened;
    const { signal } = this.context;
    const buffers = new Buffers();
    let current = startOf(takeNext());
    while (current) {
      const { matrix, ahead } = current;
      throwIfCancelled(signal, checkpoint.path);
      let next: Started | undefined;
      // Once this matrix has been read, reading the next overlaps with computing this one.
      const advance = () => {
        ahead?.release();
        next ??= startOf(takeNext(), (following) => {
          const share = this.isSmall(following, accuracy) ? this.lanes : 1;
          return readAhead(following.source(), READ_AHEAD_BYTES / share, buffers, signal);
        });
      };
      await lookUp(matrix);
      // What is computed on a wish alone is not part of the expected work.
      const counts = this.schedule.sweepsOf(matrix).includes(accuracy);
      if (!counts) this.pace.expect(matrix, accuracy);
      if (reaches(this.known.get(matrix.name), accuracy)) {
        ahead?.release();
        this.pace.drop(matrix, this.schedule.accuracyIn(accuracy, matrix));
        // What follows is likely to be known as well, and need not be read.
        next ??= startOf(takeNext());
      } else await this.one(matrix, noticeEnd(ahead ?? matrix.source(), advance), sweep, counts ? 1 : 0);
      work.finish(matrix);
      // Its failure ends the analysis where it is awaited.
      this.findTies().catch(() => undefined);
      advance();
      current = next;
    }
  }

  private async one(matrix: Matrix, source: TimedRows, sweep: Sweep, steps: 0 | 1): Promise<void> {
    const accuracy = this.schedule.accuracyIn(sweep.accuracy, matrix);
    const { devices } = this.parts;
    const { signal } = this.context;
    try {
      const factor = this.factorOf(matrix, accuracy);
      const options = { signal, progress: this.within(matrix, accuracy) };
      const [first, second] = factor ? [subProgress(options, 0, 0.5), subProgress(options, 0.5, 1)] : [options];
      const { known, computed, seen, engine } = await devices.run(
        this.engine,
        matrix.name,
        { signal, beside: this.isBeside(matrix, sweep) },
        async (backend) => {
          // Where only the activations are new, the spectrum of W is in the cache.
          const known = factor && (await this.cache.get(cacheKey(matrix, backend.info.name, accuracy)));
          const computed = known ?? (await compute(backend, matrix, source, accuracy, first));
          const seen = factor && (await this.seenOf(backend, factor, second!));
          return { known, computed, seen, engine: backend.info };
        },
      );
      const entry = known ?? (await withQuantization(matrix, computed, signal));
      this.pace.finish(matrix, accuracy);
      if (!known) await this.cache.put(cacheKey(matrix, engine.name, accuracy), entry);
      if (seen) await this.cache.put(seenKey(factor!.matrix, factor!.factor, engine.name), seen);
      this.useEngine(engine);
      this.found(matrix, { entry, seen }, accuracy, steps);
    } catch (error) {
      if (!concernsOneMatrix(error)) throw error;
      const skipped = { name: matrix.name, reason: error.found };
      this.skipped.push(skipped);
      this.pace.finish(matrix, accuracy);
      this.done += steps + this.forget(matrix, () => true);
      this.report({ message: matrix.name, skipped });
    }
  }

  /** The statistics with which an exact result of this matrix is complete; undefined if it needs none. */
  private factorOf(matrix: Matrix, accuracy: Accuracy): Seen | undefined {
    const factor = this.activations?.factors.get(matrix.name);
    if (!factor || factor.tokens === 0 || accuracy !== 'exact' || !isStored(matrix)) return undefined;
    return this.withoutActivations.has(matrix.name) ? undefined : { matrix, factor };
  }

  /** The spectrum of W X; undefined, with a remark, if the statistics cannot be used. */
  private async seenOf(
    backend: Backend,
    { matrix, factor }: Seen,
    options: RoutineOptions,
  ): Promise<CacheEntry | undefined> {
    try {
      return await computeSeen(backend, matrix, factor, options);
    } catch (error) {
      if (!concernsOneMatrix(error)) throw error;
      this.withoutActivations.set(matrix.name, error.message);
      return undefined;
    }
  }

  /** Reports progress within a large matrix, which may take minutes. */
  private within(matrix: Matrix, accuracy: Accuracy): (share: number) => void {
    let last = performance.now();
    return (share) => {
      this.pace.reach(matrix, accuracy, share);
      if (performance.now() - last < WITHIN_MS) return;
      last = performance.now();
      this.report({ message: `${matrix.name} (${Math.floor(100 * share)} %)` });
    };
  }

  private found(
    matrix: Matrix,
    { entry, seen }: { readonly entry: CacheEntry; readonly seen: CacheEntry | undefined },
    accuracy: Accuracy,
    steps: number,
  ): void {
    this.known.set(matrix.name, accuracy);
    this.done += steps;
    this.showed(matrix, entry, accuracy, seen);
  }

  private showed(matrix: Matrix, entry: CacheEntry, accuracy: Accuracy, seen: CacheEntry | undefined): void {
    const { values = false } = this.request;
    const own = findingOf(matrix, entry, provenanceOf(accuracy), values);
    const factor = this.activations?.factors.get(matrix.name);
    const finding = seen && factor ? { ...own, activations: activationFinding(seen, factor, values) } : own;
    this.findings.set(matrix.name, finding);
    this.report({ message: matrix.name, finding });
  }

  private report(news: Pick<AnalysisProgress, 'message' | 'engine' | 'finding' | 'skipped'>): void {
    const secondsLeft = this.pace.secondsLeft();
    this.context.progress?.({
      done: this.done,
      total: this.schedule.total,
      ...(secondsLeft === undefined ? {} : { secondsLeft }),
      ...news,
    });
  }

  private analysis(engine: DeviceInfo): Analysis {
    const { path, format, parameters, bytes, tensors, ties, skipped, warnings: remarks } = viewOf(this.opened);
    const warnings = [...remarks, ...this.remarksOnActivations()];
    const listed = this.request.listed === false ? [] : this.opened.anatomy.matrices;
    return {
      format: 'rankscope.analysis/1',
      checkpoint: { path, format, parameters, bytes, tensors: tensors.length },
      engine,
      matrices: listed.flatMap(({ name }) => (this.dropped.has(name) ? [] : (this.findings.get(name) ?? []))),
      ties,
      skipped: [...skipped.filter(({ name }) => this.wanted(name)), ...this.skipped],
      ...(this.activations ? { activations: this.activations.summary } : {}),
      ...(warnings.length > 0 ? { warnings } : {}),
    };
  }

  private remarksOnActivations(): string[] {
    const remarks = [...this.withoutActivations.values()].map((why) => `W X was not measured: ${why}`);
    const unreached = [...(this.activations?.factors ?? [])].flatMap(([name, { tokens }]) =>
      tokens === 0 && this.findings.has(name) ? [name] : [],
    );
    if (unreached.length > 0)
      remarks.push(
        `No token of the text reached ${unreached.length} of the matrices, so that nothing is known of their inputs: ` +
          `${unreached.slice(0, 3).join(', ')}${unreached.length > 3 ? ' ...' : ''}`,
      );
    return remarks;
  }
}

/** A matrix with the statistics of its inputs. */
interface Seen {
  readonly matrix: StoredMatrix;
  readonly factor: InputFactor;
}

interface Started {
  readonly matrix: Matrix;
  readonly ahead?: ReadAhead;
}

function startOf(matrix: Matrix | undefined, read?: (matrix: Matrix) => ReadAhead): Started | undefined {
  return matrix && { matrix, ...(read ? { ahead: read(matrix) } : {}) };
}
