import type { Pause } from '../../base/eventLoop.ts';
import { seededRandom } from '../../base/random.ts';
import type { Backend, Matrix } from '../../devices/backend.ts';
import { type ProductCost, TRIAL_BATCHES } from '../../model/trial.ts';
import { Scope } from '../../spectrum/scope.ts';

/** A measurement repeats a product for about this time, but not more often than this. */
const [SECONDS, MOST_REPEATS] = [0.03, 20];

interface TimingOptions {
  readonly signal: AbortSignal | undefined;
  /** Awaited before each measurement. */
  readonly pause: Pause;
}

/** y = W x with a matrix on the device that holds W (m x n), or its transpose. */
export function timeDense(backend: Backend, matrix: Matrix, transposed: boolean, options: TimingOptions) {
  const [m, n] = transposed ? [matrix.cols, matrix.rows] : [matrix.rows, matrix.cols];
  const { signal } = options;
  return timed(backend, [m, n], options, async (_scope, x, y) => () => {
    return backend.multiply(y, matrix, x, { transposeA: transposed, signal });
  });
}

/** y = B (A x) with factors of this rank of an m x n matrix; the time does not depend on their entries. */
export function timeFactors(
  backend: Backend,
  shape: readonly [number, number],
  rank: number,
  options: TimingOptions,
): Promise<ProductCost['seconds']> {
  const [m, n] = shape;
  const { signal } = options;
  return timed(backend, shape, options, async (scope, x, y) => {
    const [b, a] = [await filled(scope, m, rank), await filled(scope, rank, n)];
    const inner = await scope.allocate(rank, x.cols);
    return async () => {
      await backend.multiply(inner, a, x, { signal });
      await backend.multiply(y, b, inner, { signal });
    };
  });
}

async function timed(
  backend: Backend,
  [m, n]: readonly [number, number],
  { pause }: TimingOptions,
  prepare: (scope: Scope, x: Matrix, y: Matrix) => Promise<() => Promise<void>>,
): Promise<ProductCost['seconds']> {
  const seconds = { 1: 0, 128: 0 };
  for (const batch of TRIAL_BATCHES) {
    await pause();
    seconds[batch] = await Scope.run(backend, async (scope) => {
      const [x, y] = [await filled(scope, n, batch), await scope.allocate(m, batch)];
      return median(backend, y, await prepare(scope, x, y));
    });
  }
  return seconds;
}

/** The median time of a product, without what it takes to learn that a device has finished. */
async function median(backend: Backend, y: Matrix, product: () => Promise<void>): Promise<number> {
  const run = async (repeats: number) => {
    const started = performance.now();
    for (let i = 0; i < repeats; i++) await product();
    // A device may still be at work when a product returns; one that has been read is finished.
    await backend.download(y);
    return (performance.now() - started) / 1000;
  };
  // The first run compiles kernels.
  await run(1);
  const once = await run(1);
  const repeats = Math.max(2, Math.min(MOST_REPEATS, Math.round(SECONDS / Math.max(once, 1e-6))));
  const samples: number[] = [];
  for (let sample = 0; sample < 3; sample++) samples.push(await run(repeats));
  const waiting: number[] = [];
  for (let sample = 0; sample < 3; sample++) waiting.push(await run(0));
  const middle = (times: number[]) => times.sort((one, other) => one - other)[1]!;
  const net = middle(samples) - middle(waiting);
  return (net > 0 ? net : middle(samples)) / repeats;
}

function filled(scope: Scope, rows: number, cols: number): Promise<Matrix> {
  const random = seededRandom(1);
  return scope.upload(rows, cols, (out) => {
    for (let i = 0; i < out.length; i++) out[i] = random.uniform() - 0.5;
  });
}
