import { RankscopeError, throwIfCancelled } from '../base/errors.ts';
import { seededRandom } from '../base/random.ts';
import type { Backend, Factors, Matrix, RoutineOptions, RowSource } from '../engine/backend.ts';
import { OVERSAMPLING, svdCost } from './costModel.ts';
import { loadScaled, part, uploadRows } from './load.ts';
import { Scope } from './scope.ts';

export interface TruncatedOptions extends RoutineOptions {
  readonly seed?: number;
  /** Default: the cheaper by the cost model. */
  readonly route?: 'exact' | 'sketch';
  /** A sketch is refined until a round lessens the truncation's error by less than this share of it. */
  readonly tolerance?: number;
}

const TOLERANCE = 1e-3;
/** Relative rounding of squared values in f32, with some room. */
const ROUNDING = 1e-6;
/** After this many rounds a spectrum is so flat that every sketch of this size is about as good as the best. */
const ROUND_LIMIT = 12;

/**
 * The `rank` leading singular triplets of a source's matrix.
 *
 * The sketch is a randomized subspace iteration with an orthonormalisation after every product (Halko, Martinsson and Tropp 2011, algorithm
 * 4.4) that stops by what it measures: with Q from the last round, |W - (Q Q^T W)_r|_F^2 = |W|_F^2 - sum of the leading sigma_i(Q^T W)^2, so
 * what a round adds to that sum is what it takes off the squared error.
 *
 * @throws RankscopeError 'wrong-use' for a rank outside 1 .. min(m, n), 'not-finite', 'too-large', 'cancelled', 'engine'.
 */
export async function truncatedSvd(
  backend: Backend,
  source: RowSource,
  rank: number,
  options: TruncatedOptions = {},
): Promise<Factors> {
  const { rows: m, cols: n } = source;
  if (!Number.isInteger(rank) || rank < 1 || rank > Math.min(m, n)) {
    const found = `rank ${rank} of a ${m} x ${n} matrix`;
    throw new RankscopeError('wrong-use', source.name, found, `Ask for a rank from 1 to ${Math.min(m, n)}`);
  }
  const matrix = await backend.allocate(m, n);
  try {
    const { entries, scale } = await loadScaled(source, options.signal, (rows) =>
      uploadRows(backend, rows, 0, m, matrix, 0, part(options, 0, 0.1)),
    );
    const rest = part(options, 0.1, 1);
    const cost = svdCost(m, n, rank);
    const route = options.route ?? (cost.sketch < cost.exact ? 'sketch' : 'exact');
    const factors =
      route === 'exact'
        ? await backend.svd(matrix, rank, rest)
        : await sketchedSvd(backend, matrix, rank, (entries.frobeniusNorm * scale) ** 2, { ...options, ...rest });
    return { ...factors, values: factors.values.map((value) => value / scale) };
  } finally {
    backend.free(matrix);
  }
}

async function sketchedSvd(
  backend: Backend,
  matrix: Matrix,
  rank: number,
  energy: number,
  options: TruncatedOptions,
): Promise<Factors> {
  const { signal, seed = 1, tolerance = TOLERANCE } = options;
  const { rows: m, cols: n } = matrix;
  const width = Math.min(m, n, rank + OVERSAMPLING);
  return Scope.run(backend, async (scope) => {
    const right = await scope.allocate(n, width);
    const left = await scope.allocate(m, width);
    const random = seededRandom(seed);
    await backend.upload(right, 0, n, (out) => {
      for (let i = 0; i < out.length; i++) out[i] = random.normal();
    });
    let before: Float64Array = new Float64Array(width);
    for (let round = 1; ; round++) {
      throwIfCancelled(signal, 'SVD');
      await backend.multiply(left, matrix, right);
      scope.free(scope.keep(await backend.orthonormalize(left, { signal })));
      throwIfCancelled(signal, 'SVD');
      await backend.multiply(right, matrix, left, { transposeA: true });
      // W^T Q = P R, so Q^T W has the singular values of R.
      const triangle = scope.keep(await backend.orthonormalize(right, { signal }));
      const small = await backend.download(triangle);
      const values = await backend.singularValues(triangle, { signal });
      scope.free(triangle);
      options.progress?.(round / (round + 2));
      const least = leastError(values, rank, energy);
      if (gained(values, before, rank) <= 2 * tolerance * least ** 2 || round === ROUND_LIMIT) {
        return await assemble(scope, left, right, small, rank, options);
      }
      before = values;
    }
  });
}

/**
 * What the truncation's error is at least: |W|_F^2 - sum of the leading values^2 where f32 can tell that difference, and the values behind
 * them, which the sketch found to be there.
 */
function leastError(values: Float64Array, rank: number, energy: number): number {
  const sum = (part: Float64Array) => part.reduce((total, value) => total + value * value, 0);
  const difference = energy - sum(values.subarray(0, rank));
  return Math.sqrt(Math.max(difference > ROUNDING * energy ? difference : 0, sum(values.subarray(rank))));
}

/** By how much the last round raised the leading values' squares, beyond rounding. */
function gained(values: Float64Array, before: Float64Array, rank: number): number {
  let gain = 0;
  for (let i = 0; i < rank; i++) {
    const growth = values[i]! ** 2 - before[i]! ** 2;
    if (growth > ROUNDING * values[0]! * values[i]!) gain += growth;
  }
  return gain;
}

/** W = Q R^T P^T nearly, with Q in `left`, P in `right` and R = U S V^T: its triplets are those of Q V, S, P U. */
async function assemble(
  scope: Scope,
  left: Matrix,
  right: Matrix,
  triangle: Float32Array,
  rank: number,
  { signal, progress }: RoutineOptions,
): Promise<Factors> {
  const small = await scope.upload(left.cols, left.cols, (out) => out.set(triangle));
  const inner = await scope.backend.svd(small, rank, { signal });
  const factors = {
    left: await scope.turned(left, inner.right, rank),
    values: inner.values,
    right: await scope.turned(right, inner.left, rank),
  };
  progress?.(1);
  return factors;
}
