import type { DeviceInfo, DeviceRequest } from '../../base/deviceInfo.ts';
import { concernsOneMatrix, RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import type { Analysis, MatrixFinding, Provenance, Skipped } from '../../model/findings.ts';
import { nameMatcher } from '../../model/globs.ts';
import { byLayer, type Matrix } from '../../model/matrix.ts';
import type { AnalysisProgress, AnalyzeRequest, CallContext } from '../../protocol/service.ts';
import { type Cache, type CacheEntry, noCache } from '../cache/cache.ts';
import { cacheKey } from '../cache/cacheKey.ts';
import { distinctMatrices, type Opened, refuseChanged, viewOf } from '../checkpoints/opened.ts';
import type { Devices } from '../devices/devices.ts';
import { Pace } from './pace.ts';
import { withQuantization } from './quantization.ts';
import { compute, findingOf } from './results.ts';
import { Buffers, noticeEnd, type ReadAhead, readAhead, type TimedRows } from './rows.ts';
import { WorkList } from './workList.ts';

/** How much of the next matrix is read ahead while one is computed: a 4096 x 11008 matrix in f32 fits. */
const READ_AHEAD_BYTES = 192 * 2 ** 20;
/** Concurrent look-ups in the cache. */
const LOOKUPS = 16;
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
  private work: WorkList | undefined;
  private wished: readonly string[] = [];
  private done = 0;
  private total = 0;

  constructor(
    private readonly parts: AnalysisParts,
    private readonly opened: Opened,
    private readonly request: AnalyzeRequest,
    private readonly context: CallContext<AnalysisProgress>,
  ) {
    this.cache = request.cache === false ? noCache : parts.cache;
    this.engine = parts.devices.settle(request);
    this.wanted = request.tensors?.length ? nameMatcher(request.tensors) : () => true;
  }

  /** Computes these next, as far as they are pending. */
  prioritize(names: readonly string[]): void {
    this.wished = names;
    this.work?.prioritize(names);
  }

  run(): Promise<Analysis> {
    return this.parts.devices.hold(this.engine, this.context.signal, (engine) => this.analyze(engine));
  }

  private async analyze(engine: DeviceInfo): Promise<Analysis> {
    this.useEngine(engine);
    const matrices = await this.chosen();
    const mode = this.request.mode ?? 'exact';
    const sweeps: Provenance[] = mode === 'both' ? ['preview', 'exact'] : [mode];
    this.total = matrices.length * sweeps.length;

    const unknown = await this.recall(matrices, sweeps, engine.name);
    for (const sweep of sweeps)
      for (const matrix of unknown[sweep]) this.pace.expect(matrix, provenanceIn(sweep, matrix));
    for (const sweep of sweeps) await this.sweep(byLayer(unknown[sweep]), sweep);

    await refuseChanged(this.opened.checkpoint);
    return this.analysis(this.info ?? engine);
  }

  /** The engine in use, which is another one after the first has failed. */
  private useEngine(engine: DeviceInfo): void {
    if (this.info === engine) return;
    this.info = engine;
    this.report({ message: `Engine: ${engine.device}`, engine });
  }

  /** The requested matrices, each tied group represented by its first. */
  private async chosen(): Promise<readonly Matrix[]> {
    const known = new Set(distinctMatrices(this.opened));
    await this.opened.tiesByContent(this.context.signal);
    const distinct = distinctMatrices(this.opened);
    for (const matrix of distinct) known.delete(matrix);
    for (const { name } of known) {
      this.report({ message: name, skipped: { name, reason: 'equal to another tensor, with which it is counted' } });
    }
    const matrices = distinct.filter(({ name, tensorName }) => this.wanted(name) || this.wanted(tensorName));
    if (matrices.length > 0 || !this.request.tensors?.length) return matrices;
    throw new RankscopeError(
      'wrong-use',
      this.request.path,
      `none of its ${distinct.length} matrices matches ${this.request.tensors.join(', ')}`,
      'List the names with: rankscope info',
    );
  }

  /** Reports results from the cache and returns what each sweep has to compute. An exact result needs no preview. */
  private async recall(matrices: readonly Matrix[], sweeps: readonly Provenance[], engine: string) {
    const unknown: Record<Provenance, Matrix[]> = { preview: [], exact: [] };
    const { checkpoint } = this.opened;
    const lookUp = (matrix: Matrix, provenance: Provenance) => this.cache.get(cacheKey(matrix, engine, provenance));
    for (let at = 0; at < matrices.length; at += LOOKUPS) {
      throwIfCancelled(this.context.signal, checkpoint.path);
      const some = matrices.slice(at, at + LOOKUPS);
      const entries = await Promise.all(
        some.map(async (matrix) => {
          const exact = await lookUp(matrix, 'exact');
          if (exact || !sweeps.includes('preview')) return { exact };
          return { preview: await lookUp(matrix, 'preview') };
        }),
      );
      for (const [index, matrix] of some.entries()) {
        const { exact, preview } = entries[index] ?? {};
        if (exact) this.found(matrix, exact, 'exact', sweeps.length);
        else if (preview) this.found(matrix, preview, 'preview');
        // An update is exact in the first sweep and needs no second one.
        for (const sweep of matrix.kind === 'update' ? sweeps.slice(0, 1) : sweeps)
          if (!exact && !(preview && sweep === 'preview')) unknown[sweep].push(matrix);
      }
    }
    return unknown;
  }

  private async sweep(matrices: readonly Matrix[], provenance: Provenance): Promise<void> {
    const unusable = new Set(this.skipped.map(({ name }) => name));
    const work = new WorkList(matrices.filter(({ name }) => !unusable.has(name)));
    work.prioritize(this.wished);
    this.work = work;
    const { checkpoint } = this.opened;
    const { signal } = this.context;
    const buffers = new Buffers();
    let current = startOf(work.next());
    while (current) {
      const { matrix, ahead } = current;
      throwIfCancelled(signal, checkpoint.path);
      let next: Started | undefined;
      // Once this matrix has been read, reading the next overlaps with computing this one.
      const advance = () => {
        ahead?.release();
        next ??= startOf(work.next(), (following) => readAhead(following.source(), READ_AHEAD_BYTES, buffers, signal));
      };
      await this.one(matrix, noticeEnd(ahead ?? matrix.source(), advance), provenance);
      advance();
      current = next;
    }
  }

  private async one(matrix: Matrix, source: TimedRows, sweep: Provenance): Promise<void> {
    const provenance = provenanceIn(sweep, matrix);
    const { devices } = this.parts;
    const { signal } = this.context;
    try {
      const { computed, engine } = await devices.run(this.engine, matrix.name, { signal }, async (backend) => ({
        computed: await compute(backend, matrix, source, provenance, {
          signal,
          progress: this.within(matrix, provenance),
        }),
        engine: backend.info,
      }));
      const entry = await withQuantization(matrix, computed, signal);
      this.pace.finish(matrix, provenance);
      await this.cache.put(cacheKey(matrix, engine.name, provenance), entry);
      this.useEngine(engine);
      this.found(matrix, entry, provenance, this.request.mode === 'both' && provenance !== sweep ? 2 : 1);
    } catch (error) {
      if (!concernsOneMatrix(error)) throw error;
      const skipped = { name: matrix.name, reason: error.found };
      this.skipped.push(skipped);
      this.pace.finish(matrix, provenance);
      this.done += 1;
      if (this.request.mode === 'both' && sweep === 'preview') {
        if (provenance === sweep) this.pace.drop(matrix, 'exact');
        this.done += 1;
      }
      this.report({ message: matrix.name, skipped });
    }
  }

  /** Reports progress within a large matrix, which may take minutes. */
  private within(matrix: Matrix, provenance: Provenance): (share: number) => void {
    let last = performance.now();
    return (share) => {
      this.pace.reach(matrix, provenance, share);
      if (performance.now() - last < WITHIN_MS) return;
      last = performance.now();
      this.report({ message: `${matrix.name} (${Math.floor(100 * share)} %)` });
    };
  }

  private found(matrix: Matrix, entry: CacheEntry, provenance: Provenance, steps = 1): void {
    const finding = findingOf(matrix, entry, provenance, this.request.values ?? false);
    this.findings.set(matrix.name, finding);
    this.done += steps;
    this.report({ message: matrix.name, finding });
  }

  private report(news: Pick<AnalysisProgress, 'message' | 'engine' | 'finding' | 'skipped'>): void {
    const secondsLeft = this.pace.secondsLeft();
    this.context.progress?.({
      done: this.done,
      total: this.total,
      ...(secondsLeft === undefined ? {} : { secondsLeft }),
      ...news,
    });
  }

  private analysis(engine: DeviceInfo): Analysis {
    const { path, format, parameters, bytes, tensors, ties, skipped } = viewOf(this.opened);
    const listed = this.request.listed === false ? [] : this.opened.anatomy.matrices;
    return {
      format: 'rankscope.analysis/1',
      checkpoint: { path, format, parameters, bytes, tensors: tensors.length },
      engine,
      matrices: listed.flatMap(({ name }) => this.findings.get(name) ?? []),
      ties,
      skipped: [...skipped.filter(({ name }) => this.wanted(name)), ...this.skipped],
    };
  }
}

/** An adapter's update is always computed exactly: it has few values, and an estimate would cost more. */
function provenanceIn(sweep: Provenance, { kind }: Matrix): Provenance {
  return kind === 'update' ? 'exact' : sweep;
}

interface Started {
  readonly matrix: Matrix;
  readonly ahead?: ReadAhead;
}

function startOf(matrix: Matrix | undefined, read?: (matrix: Matrix) => ReadAhead): Started | undefined {
  return matrix && { matrix, ...(read ? { ahead: read(matrix) } : {}) };
}
