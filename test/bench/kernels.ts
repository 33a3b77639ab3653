// The routines of the engines beside torch: both sides in turn on the same matrix, the best of each counts.
import { performance } from 'node:perf_hooks';
import type { Backend, Matrix } from '../../src/engine/backend.ts';
import type { MatrixFile, Routine, TorchSide } from './torchSide.ts';

export interface KernelCase {
  readonly routine: Routine;
  readonly rows: number;
  readonly cols: number;
  /** Turns of each side. */
  readonly turns: number;
}

export interface KernelResult extends KernelCase {
  /** Seconds by the clock, and of processor time of all threads together: the best of each. */
  readonly ours: number;
  readonly oursCpu: number;
  readonly torch: number | undefined;
  readonly torchCpu: number | undefined;
  /** Largest error of a value in units of eps sqrt(max(m, n)) sigma_1, the contract's; none without a truth. */
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
  { routine: 'product', rows: 2048, cols: 2048, turns: 8 },
  { routine: 'triangle', rows: 8192, cols: 1024, turns: 6 },
];

export async function runCase(
  backend: Backend,
  torch: TorchSide | undefined,
  one: KernelCase,
  data: Float32Array,
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
  const checked = (found: ArrayLike<number>) => (truth && found.length > 0 ? worst(found, truth, one) : undefined);
  return {
    ...one,
    ours,
    oursCpu,
    torch: torch ? theirs : undefined,
    torchCpu: torch ? theirsCpu : undefined,
    error: checked(values),
    torchError: checked(theirValues),
  };
}

async function ourTurn(
  backend: Backend,
  { routine, rows, cols }: KernelCase,
  data: Float32Array,
): Promise<{ seconds: number; cpu: number; values: ArrayLike<number> }> {
  const a = await backend.allocate(rows, cols);
  const out = routine === 'product' ? await backend.allocate(rows, rows) : undefined;
  await backend.upload(a, 0, rows, (into) => into.set(data));
  const start = performance.now();
  const cpu = process.cpuUsage();
  let values: ArrayLike<number> = [];
  let extra: Matrix | undefined = out;
  if (routine === 'values') values = await backend.singularValues(a);
  else if (routine === 'vectors') values = (await backend.svd(a, Math.min(rows, cols))).values;
  else if (routine === 'triangle') extra = await backend.triangularize(a);
  else await backend.multiply(out!, a, a, { transposeB: true });
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  for (const matrix of [a, extra]) if (matrix) backend.free(matrix);
  return { seconds, cpu: (user + system) / 1e6, values };
}

function worst(found: ArrayLike<number>, truth: readonly number[], { rows, cols }: KernelCase): number {
  const unit = 2 ** -23 * Math.sqrt(Math.max(rows, cols)) * truth[0]!;
  return truth.reduce((most, right, i) => Math.max(most, Math.abs(found[i]! - right)), 0) / unit;
}
