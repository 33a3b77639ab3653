// The routines of a device compared with torch and NumPy: all take turns on the same matrix, and the best counts.
import { performance } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import type { Encoding } from '../../src/base/encoding.ts';
import { ENERGY_LEVELS } from '../../src/base/energyLevels.ts';
import type { Backend, Matrix, RowSource } from '../../src/devices/backend.ts';
import { previewSpectrum } from '../../src/spectrum/preview.ts';
import { GrowingTriangle } from '../../src/spectrum/stackedTriangle.ts';
import { truncatedSvd } from '../../src/spectrum/truncated.ts';
import { previewError, rankError, valuesError } from './errors.ts';
import type { MatrixFile, Peer, Routine, TorchAnswer, TorchSide } from './torchSide.ts';

export interface KernelCase {
  readonly routine: Routine;
  readonly rows: number;
  readonly cols: number;
  /** Runs of each side. */
  readonly turns: number;
  /** For 'decode': the encoding of the matrix. */
  readonly encoding?: Encoding;
}

export interface KernelResult extends KernelCase {
  /** Best wall-clock seconds and, in `oursCpu`, best processor seconds of all threads together. */
  readonly ours: number;
  readonly oursCpu: number;
  readonly theirs: Theirs | undefined;
  /**
   * Largest error of a value in units of eps sqrt(max(m, n)) sigma_1; for a rank, the error of the approximation
   * relative to the least possible; for a preview, the largest error of an energy rank divided by p. Undefined without
   * a truth.
   */
  readonly error: number | undefined;
  readonly theirError: number | undefined;
  /** Of our best run, on a processor. */
  readonly stages: Stages;
}

/** The best of torch and, where it has the routine, NumPy. */
export interface Theirs {
  readonly peer: Peer;
  readonly seconds: number;
  readonly cpu: number;
}

const ON_NUMPY: ReadonlySet<Routine> = new Set(['values', 'vectors', 'product', 'triangle', 'moments']);
/** Milliseconds after which the threads of a library, which keep looking for more work, have gone to sleep. */
const SETTLE = 200;
/** A peer that is slower than the other by this factor gets no further turns. */
const LOST = 1.5;

export const FULL: readonly KernelCase[] = [
  { routine: 'values', rows: 512, cols: 512, turns: 40 },
  { routine: 'values', rows: 1024, cols: 1024, turns: 12 },
  { routine: 'values', rows: 2048, cols: 2048, turns: 8 },
  { routine: 'values', rows: 4096, cols: 1024, turns: 8 },
  { routine: 'values', rows: 4096, cols: 4096, turns: 5 },
  { routine: 'values', rows: 4096, cols: 11008, turns: 3 },
  { routine: 'vectors', rows: 512, cols: 512, turns: 40 },
  { routine: 'vectors', rows: 1024, cols: 1024, turns: 12 },
  { routine: 'vectors', rows: 2048, cols: 2048, turns: 5 },
  { routine: 'rank', rows: 4096, cols: 4096, turns: 10 },
  { routine: 'preview', rows: 2048, cols: 2048, turns: 5 },
  { routine: 'preview', rows: 4096, cols: 4096, turns: 3 },
  { routine: 'product', rows: 2048, cols: 2048, turns: 8 },
  { routine: 'triangle', rows: 8192, cols: 1024, turns: 6 },
  { routine: 'moments', rows: 16384, cols: 576, turns: 4 },
  { routine: 'moments', rows: 16384, cols: 1536, turns: 3 },
  { routine: 'decode', encoding: 'BF16', rows: 4096, cols: 4096, turns: 12 },
  { routine: 'decode', encoding: 'F16', rows: 4096, cols: 4096, turns: 12 },
  { routine: 'decode', encoding: 'F8_E4M3', rows: 4096, cols: 4096, turns: 12 },
];

/** The content of a matrix, as f32 and, if it has another encoding, as stored. */
export interface MatrixData {
  readonly values: Float32Array;
  readonly stored: Uint8Array;
}

export async function runCase(
  backend: Backend,
  torch: TorchSide | undefined,
  one: KernelCase,
  data: MatrixData,
  matrix: MatrixFile,
  truth: readonly number[] | undefined,
): Promise<KernelResult> {
  let ours: OurTurn = { seconds: Number.POSITIVE_INFINITY, cpu: Number.POSITIVE_INFINITY, values: [], stages: {} };
  let oursCpu = Number.POSITIVE_INFINITY;
  const peers: Peer[] = !torch ? [] : ON_NUMPY.has(one.routine) ? ['torch', 'numpy'] : ['torch'];
  const best = new Map<Peer, TorchAnswer>();
  for (let turn = 0; turn < one.turns; turn++) {
    await setTimeout(SETTLE);
    const mine = await ourTurn(backend, one, data);
    if (mine.seconds < ours.seconds) ours = mine;
    oursCpu = Math.min(oursCpu, mine.cpu);
    const leader = Math.min(...[...best.values()].map(({ seconds }) => seconds));
    for (const peer of peers) {
      const before = best.get(peer);
      if (!torch || (before && before.seconds > LOST * leader)) continue;
      await setTimeout(SETTLE);
      const answer = await torch.run(one.routine, matrix, peer);
      const [seconds, cpu] = (['seconds', 'cpu'] as const).map((key) => Math.min(answer[key], before?.[key] ?? 1e9));
      best.set(peer, { ...answer, seconds: seconds!, cpu: cpu! });
    }
  }
  const [winner] = [...best].sort(([, a], [, b]) => a.seconds - b.seconds);
  const checked = (found: ArrayLike<number>) => (truth && found.length > 0 ? errorOf(one, found, truth) : undefined);
  return {
    ...one,
    ours: ours.seconds,
    oursCpu,
    stages: ours.stages,
    theirs: winner && { peer: winner[0], seconds: winner[1].seconds, cpu: winner[1].cpu },
    error: checked(ours.values),
    // A preview is compared with their exact values, which have no such error.
    theirError: one.routine === 'preview' || !winner ? undefined : checked(winner[1].values),
  };
}

interface OurTurn {
  readonly seconds: number;
  readonly cpu: number;
  readonly values: ArrayLike<number>;
  readonly stages: Stages;
}

/** Milliseconds by stage, as the processor's backend tells them. */
type Stages = Readonly<Record<string, number>>;

const stagesOf = (backend: Backend): Stages => ('stages' in backend ? (backend.stages as Stages) : {});

async function ourTurn(
  backend: Backend,
  { routine, rows, cols, encoding = 'F32' }: KernelCase,
  { values: data, stored }: MatrixData,
): Promise<OurTurn> {
  if (routine === 'moments') return onBatches(backend, data, cols);
  if (routine === 'rank' || routine === 'preview') return onSource(backend, routine, source(rows, cols, data));
  const a = await backend.allocate(rows, cols);
  const out = routine === 'product' ? await backend.allocate(rows, rows) : undefined;
  // The first access to a matrix would include the time in which the system clears its memory.
  await backend.upload(a, 0, rows, (into) => into.set(data));
  const start = performance.now();
  const cpu = process.cpuUsage();
  let values: ArrayLike<number> = [];
  let extra: Matrix | undefined = out;
  if (routine === 'values') values = await backend.singularValues(a);
  else if (routine === 'vectors') values = (await backend.svd(a, Math.min(rows, cols))).values;
  else if (routine === 'triangle') extra = await backend.triangularize(a);
  else if (routine === 'decode') await backend.uploadStored(a, 0, rows, encoding, (into) => into.set(stored));
  else await backend.multiply(out!, a, a, { transposeB: true });
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  for (const matrix of [a, extra]) if (matrix) backend.free(matrix);
  const stages = routine === 'decode' || routine === 'product' ? {} : stagesOf(backend);
  return { seconds, cpu: (user + system) / 1e6, values, stages };
}

/** Algorithms that read the matrix themselves, which is included in their time. */
async function onSource(backend: Backend, routine: 'rank' | 'preview', matrix: RowSource): Promise<OurTurn> {
  const start = performance.now();
  const cpu = process.cpuUsage();
  let values: ArrayLike<number>;
  if (routine === 'rank') values = (await truncatedSvd(backend, matrix, RANK, {})).values;
  else {
    const { energyRanks } = (await previewSpectrum(backend, matrix, {})).measures;
    values = ENERGY_LEVELS.map((level) => energyRanks[level]);
  }
  const { user, system } = process.cpuUsage(cpu);
  return { seconds: (performance.now() - start) / 1000, cpu: (user + system) / 1e6, values, stages: {} };
}

/** Rows of X^T as the batches of a forward pass bring them; uploading them is included. */
async function onBatches(backend: Backend, data: Float32Array, cols: number): Promise<OurTurn> {
  const start = performance.now();
  const cpu = process.cpuUsage();
  const triangle = new GrowingTriangle(backend, cols);
  for (let at = 0; at < data.length; at += 2048 * cols) await triangle.add(data.subarray(at, at + 2048 * cols));
  await triangle.finish();
  const { user, system } = process.cpuUsage(cpu);
  return { seconds: (performance.now() - start) / 1000, cpu: (user + system) / 1e6, values: [], stages: {} };
}

/** Rows in memory, stored as F32. */
function source(rows: number, cols: number, data: Float32Array): RowSource {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const rowBytes = 4 * cols;
  return {
    name: 'weights',
    rows,
    cols,
    read: async (row, out) => out.set(data.subarray(row * cols, row * cols + out.length)),
    stored: {
      encoding: 'F32',
      read: async (row, out) => out.set(bytes.subarray(row * rowBytes, row * rowBytes + out.length)),
    },
  };
}

/** The rank of the truncated SVD, as in torch_side.py. */
const RANK = 256;

function errorOf({ routine, rows, cols }: KernelCase, found: ArrayLike<number>, truth: readonly number[]): number {
  if (routine === 'rank') return rankError(found, truth, RANK);
  return (routine === 'preview' ? previewError : valuesError)(found, truth, [rows, cols]);
}
