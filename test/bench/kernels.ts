// The routines of a device compared with torch: both sides take turns on the same matrix, and the best of each counts.
import { performance } from 'node:perf_hooks';
import type { Encoding } from '../../src/base/encoding.ts';
import { ENERGY_LEVELS } from '../../src/base/energyLevels.ts';
import type { Backend, Matrix, RowSource } from '../../src/devices/backend.ts';
import { previewSpectrum } from '../../src/spectrum/preview.ts';
import { truncatedSvd } from '../../src/spectrum/truncated.ts';
import { previewError, rankError, valuesError } from './errors.ts';
import type { MatrixFile, Routine, TorchSide } from './torchSide.ts';

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
  readonly torch: number | undefined;
  readonly torchCpu: number | undefined;
  /**
   * Largest error of a value in units of eps sqrt(max(m, n)) sigma_1; for a rank, the error of the approximation
   * relative to the least possible; for a preview, the largest error of an energy rank divided by p. Undefined without
   * a truth.
   */
  readonly error: number | undefined;
  readonly torchError: number | undefined;
}

export const FULL: readonly KernelCase[] = [
  { routine: 'values', rows: 512, cols: 512, turns: 15 },
  { routine: 'values', rows: 1024, cols: 1024, turns: 12 },
  { routine: 'values', rows: 2048, cols: 2048, turns: 8 },
  { routine: 'values', rows: 4096, cols: 1024, turns: 8 },
  { routine: 'values', rows: 4096, cols: 4096, turns: 5 },
  { routine: 'values', rows: 4096, cols: 11008, turns: 3 },
  { routine: 'vectors', rows: 512, cols: 512, turns: 8 },
  { routine: 'vectors', rows: 1024, cols: 1024, turns: 5 },
  { routine: 'vectors', rows: 2048, cols: 2048, turns: 3 },
  { routine: 'rank', rows: 4096, cols: 4096, turns: 3 },
  { routine: 'preview', rows: 2048, cols: 2048, turns: 5 },
  { routine: 'preview', rows: 4096, cols: 4096, turns: 3 },
  { routine: 'product', rows: 2048, cols: 2048, turns: 8 },
  { routine: 'triangle', rows: 8192, cols: 1024, turns: 6 },
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
  let ours = Number.POSITIVE_INFINITY;
  let oursCpu = Number.POSITIVE_INFINITY;
  let theirs = Number.POSITIVE_INFINITY;
  let theirsCpu = Number.POSITIVE_INFINITY;
  let values: ArrayLike<number> = [];
  let theirValues: readonly number[] = [];
  for (let turn = 0; turn < one.turns; turn++) {
    const mine = await ourTurn(backend, one, data);
    ours = Math.min(ours, mine.seconds);
    oursCpu = Math.min(oursCpu, mine.cpu);
    values = mine.values;
    if (!torch) continue;
    const answer = await torch.run(one.routine, matrix);
    theirs = Math.min(theirs, answer.seconds);
    theirsCpu = Math.min(theirsCpu, answer.cpu);
    theirValues = answer.values;
  }
  const checked = (found: ArrayLike<number>) => (truth && found.length > 0 ? errorOf(one, found, truth) : undefined);
  return {
    ...one,
    ours,
    oursCpu,
    torch: torch ? theirs : undefined,
    torchCpu: torch ? theirsCpu : undefined,
    error: checked(values),
    // A preview is compared with torch's exact values, which have no such error.
    torchError: one.routine === 'preview' ? undefined : checked(theirValues),
  };
}

async function ourTurn(
  backend: Backend,
  { routine, rows, cols, encoding = 'F32' }: KernelCase,
  { values: data, stored }: MatrixData,
): Promise<{ seconds: number; cpu: number; values: ArrayLike<number> }> {
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
  return { seconds, cpu: (user + system) / 1e6, values };
}

/** Algorithms that read the matrix themselves, which is included in their time. */
async function onSource(backend: Backend, routine: 'rank' | 'preview', matrix: RowSource) {
  const start = performance.now();
  const cpu = process.cpuUsage();
  let values: ArrayLike<number>;
  if (routine === 'rank') values = (await truncatedSvd(backend, matrix, RANK, {})).values;
  else {
    const { energyRanks } = (await previewSpectrum(backend, matrix, {})).measures;
    values = ENERGY_LEVELS.map((level) => energyRanks[level]);
  }
  const { user, system } = process.cpuUsage(cpu);
  return { seconds: (performance.now() - start) / 1000, cpu: (user + system) / 1e6, values };
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
