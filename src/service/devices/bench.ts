import type { DeviceInfo } from '../../base/deviceInfo.ts';
import { RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import { seededRandom } from '../../base/random.ts';
import type { Backend, RowSource } from '../../devices/backend.ts';
import { chooseDevice } from '../../devices/choose.ts';
import type { StepProgress } from '../../protocol/service.ts';
import { exactSpectrum } from '../../spectrum/exact.ts';
import { measures } from '../../spectrum/measures.ts';
import { previewSpectrum } from '../../spectrum/preview.ts';
import { truncatedSvd } from '../../spectrum/truncated.ts';
import type { BlasPolicy } from './blasPolicy.ts';

/** One kind of work at one size. */
export interface BenchTime {
  readonly work: 'values' | 'preview' | 'vectors';
  readonly size: number;
  /** The faster of two runs. */
  readonly seconds: number;
  /**
   * Relative error. values: of the Frobenius norm, compared with that of the entries. preview: of the effective rank,
   * compared with the exact one. vectors: the excess of the truncation's error over the least possible one.
   */
  readonly error: number;
}

export interface BenchResult {
  readonly engine: DeviceInfo;
  readonly times: readonly BenchTime[];
}

/** The object that `rankscope bench --json` prints. */
export interface Bench {
  readonly format: 'rankscope.bench/1';
  readonly results: readonly BenchResult[];
  readonly refused: readonly { readonly name: string; readonly reason: string }[];
  /** The device that was fastest at the values of the largest matrix that all of them completed. */
  readonly recommended: string;
}

export interface BenchOptions {
  readonly devices?: readonly string[];
  readonly sizes?: readonly number[];
  readonly threads?: number;
  readonly blas?: BlasPolicy;
  readonly signal?: AbortSignal;
  readonly progress?: (step: StepProgress) => void;
}

/** The devices that can be requested from `chooseDevice`. */
const ENGINES = ['cpu', 'wasm', 'webgpu', 'tensorflow'];
const SIZES = [512, 1024, 2048];
const RANK = 64;
/** A device that takes longer than this for one size is not asked for the next. */
const PATIENCE_SECONDS = 8;

/**
 * Times every available device, and each only once, on seeded random matrices, whose flat spectra are the hardest, and
 * measures its errors.
 * @throws RankscopeError 'engine' if none is available, 'cancelled'.
 */
export async function bench(options: BenchOptions = {}): Promise<Bench> {
  const { devices = ENGINES, sizes = SIZES, threads, blas, signal, progress } = options;
  const results: BenchResult[] = [];
  const refused: { name: string; reason: string }[] = [];
  for (const [index, engine] of devices.entries()) {
    const report = (size: number) =>
      progress?.({
        done: index * sizes.length + sizes.indexOf(size),
        total: devices.length * sizes.length,
        message: `${engine}: ${size} x ${size}`,
      });
    try {
      const backend = await chooseDevice({ engine, threads, blas, signal });
      try {
        if (results.some((other) => isSame(other.engine, backend.info))) continue;
        results.push({ engine: backend.info, times: await timesOf(backend, sizes, report, signal) });
      } finally {
        await backend.close();
      }
    } catch (error) {
      if (!(error instanceof RankscopeError) || error.code === 'cancelled') throw error;
      refused.push({ name: engine, reason: error.found });
    }
  }
  const reasons = refused.map(({ name, reason }) => `${name}: ${reason}`).join('; ');
  if (results.length === 0) throw new RankscopeError('engine', 'bench', `no engine is available: ${reasons}`);
  return { format: 'rankscope.bench/1', results, refused, recommended: fastest(results) };
}

/** Whether another name stands for the same kernels: `cpu` without a BLAS is `wasm`. */
const isSame = (one: DeviceInfo, other: DeviceInfo) =>
  one.name === 'cpu' && other.name === 'wasm' && one.device === other.device;

async function timesOf(
  backend: Backend,
  sizes: readonly number[],
  report: (size: number) => void,
  signal: AbortSignal | undefined,
): Promise<BenchTime[]> {
  const times: BenchTime[] = [];
  for (const size of sizes) {
    if (times.some(({ seconds }) => seconds > PATIENCE_SECONDS)) break;
    throwIfCancelled(signal, 'bench');
    report(size);
    const source = randomMatrix(size);
    const options = { signal };
    const exact = await timed(() => exactSpectrum(backend, source, options));
    const { singularValues, entries } = exact.result;
    const found = measures(singularValues, [size, size], entries.noiseDeviation);
    const preview = await timed(() => previewSpectrum(backend, source, options));
    const rank = Math.min(RANK, size);
    const vectors = await timed(() => truncatedSvd(backend, source, rank, options));
    const least = lostEnergy(found.frobeniusNorm, singularValues.subarray(0, rank));
    const lost = lostEnergy(found.frobeniusNorm, vectors.result.values);
    times.push(
      { work: 'values', size, seconds: exact.seconds, error: distance(found.frobeniusNorm, entries.frobeniusNorm) },
      {
        work: 'preview',
        size,
        seconds: preview.seconds,
        error: distance(preview.result.measures.effectiveRank, found.effectiveRank),
      },
      { work: 'vectors', size, seconds: vectors.seconds, error: distance(Math.sqrt(lost), Math.sqrt(least)) },
    );
  }
  return times;
}

async function timed<Result>(work: () => Promise<Result>): Promise<{ result: Result; seconds: number }> {
  let seconds = Number.POSITIVE_INFINITY;
  for (;;) {
    const started = performance.now();
    const result = await work();
    const took = (performance.now() - started) / 1000;
    const again = seconds === Number.POSITIVE_INFINITY && took < PATIENCE_SECONDS / 2;
    seconds = Math.min(seconds, took);
    if (!again) return { result, seconds };
  }
}

function fastest(results: readonly BenchResult[]): string {
  const times = results.map(({ engine, times: all }) => ({
    name: engine.name,
    values: new Map(all.filter(({ work }) => work === 'values').map(({ size, seconds }) => [size, seconds])),
  }));
  const common = [...(times[0]?.values.keys() ?? [])].filter((size) => times.every(({ values }) => values.has(size)));
  const size = Math.max(...common);
  const seconds = (each: (typeof times)[number]) => each.values.get(size) ?? Number.POSITIVE_INFINITY;
  return times.reduce((best, each) => (seconds(each) < seconds(best) ? each : best)).name;
}

function randomMatrix(size: number): RowSource {
  const random = seededRandom(size);
  const values = Float32Array.from({ length: size * size }, () => random.normal());
  return {
    name: `random ${size} x ${size}`,
    rows: size,
    cols: size,
    read: async (row, out) => out.set(values.subarray(row * size, row * size + out.length)),
  };
}

/** The squared error of truncating to these leading values. */
function lostEnergy(frobeniusNorm: number, leading: Float64Array): number {
  return frobeniusNorm ** 2 - leading.reduce((sum, value) => sum + value ** 2, 0);
}

const distance = (found: number, truth: number) => Math.abs(found - truth) / truth;
