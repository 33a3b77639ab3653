import { throwIfCancelled } from '../../base/errors.ts';
import { seededRandom } from '../../base/random.ts';
import type { SingularTriplets } from '../../base/singularTriplets.ts';
import type { Backend, Matrix } from '../../devices/backend.ts';
import type { PredictedError } from '../../model/trial.ts';
import { Scope } from '../scope.ts';
import { triangularInverse } from '../triangular.ts';
import type { LoadedMatrix } from './loadedMatrix.ts';
import { bandOfMean } from './probeBand.ts';
import { checkRank, gaussian, qrMultiplyAdds, type Sketched, type SketchOptions, sketchWidth } from './sketch.ts';

export interface NystromOptions extends SketchOptions {
  /** Random vectors from which the error is predicted; 16 by default. */
  readonly probes?: number;
}

/** Rows of the second sketch for each column of the first (Nakatsukasa, section 3.2). */
const ROW_SHARE = 1.5;

/**
 * Generalized Nystrom approximation of any matrix from one pass over it: W ~ (W X) (Y^T W X)^+ (Y^T W) with Gaussian X
 * and Y (Nakatsukasa, "Fast and stable randomized low-rank matrix approximation", arXiv 2009.11392), truncated to the
 * rank. With W X = Q R it is Q (Y^T Q)^+ (Y^T W), which needs no inverse of the sketch itself (Tropp, Yurtsever, Udell
 * and Cevher, "Practical sketching algorithms for low-rank matrix approximation", 2017, algorithms 4 and 7). It is not
 * a projection of W, so that norms do not give its error: W G with some random vectors G, from the same pass, does.
 * @throws RankscopeError 'wrong-use' for a rank outside 1 .. min(m, n), 'too-large', 'cancelled', 'engine'
 */
export function generalizedNystrom(
  backend: Backend,
  loaded: LoadedMatrix,
  rank: number,
  options: NystromOptions = {},
): Promise<Sketched> {
  const { name, matrix, scale, energy } = loaded;
  const { rows: m, cols: n } = matrix;
  checkRank({ name, rows: m, cols: n }, rank);
  const { signal, progress, seed = 1, oversampling, probes: count = 16 } = options;
  const width = sketchWidth(loaded, rank, oversampling);
  const height = Math.min(m, Math.ceil(ROW_SHARE * width));
  return Scope.run(backend, async (scope) => {
    const random = seededRandom(seed);
    const times = async (rows: number, cols: number, a: Matrix, b: Matrix, how = {}) => {
      throwIfCancelled(signal, name);
      const out = await scope.allocate(rows, cols);
      await backend.multiply(out, a, b, { ...how, signal });
      return out;
    };
    // The one pass over W.
    const x = await gaussian(scope, n, width, random);
    const basis = await times(m, width, matrix, x);
    scope.free(x);
    const y = await gaussian(scope, m, height, random);
    const below = await times(height, n, y, matrix, { transposeA: true });
    const probes = await gaussian(scope, n, count, random);
    const seen = await times(m, count, matrix, probes);
    progress?.(0.6);

    scope.free(scope.keep(await backend.orthonormalize(basis, { signal })));
    const core = await times(height, width, y, basis, { transposeA: true });
    scope.free(y);
    const r = scope.keep(await backend.orthonormalize(core, { signal }));
    const inverse = new Float32Array(width * width);
    triangularInverse(Float64Array.from(await backend.download(r)), width, inverse);
    // (Y^T Q)^+ Y^T W, transposed.
    const half = await times(n, width, below, core, { transposeA: true });
    const by = await scope.upload(width, width, (out) => out.set(inverse));
    const wide = await times(n, width, half, by, { transposeB: true });
    const { left: right, values, right: inner } = await backend.svd(wide, rank, { signal });
    const left = await scope.turned(basis, inner, rank);
    const predicted = await errorFromProbes(scope, { left, values, right }, probes, seen, energy);
    progress?.(1);
    return {
      factors: { left, values: values.map((value) => value / scale), right },
      predicted,
      cost: {
        passes: 1,
        multiplyAdds:
          m * n * (width + height + count) +
          m * height * width +
          n * width * (height + width) +
          qrMultiplyAdds(m, width) +
          qrMultiplyAdds(n, width) +
          qrMultiplyAdds(height, width),
      },
    };
  });
}

/** ||W - W'||_F / ||W||_F from `seen` = W G: the expectation of ||(W - W') g||^2 is ||W - W'||_F^2. */
async function errorFromProbes(
  scope: Scope,
  { left, values, right }: SingularTriplets,
  probes: Matrix,
  seen: Matrix,
  energy: number,
): Promise<PredictedError> {
  if (energy === 0) return { error: 0, basis: 'probes', band: [0, 0] };
  const { backend } = scope;
  const [rank, count] = [values.length, probes.cols];
  const v = await scope.upload(probes.rows, rank, (out) => out.set(right));
  const turned = await scope.allocate(rank, count);
  await backend.multiply(turned, v, probes, { transposeA: true });
  const u = await scope.upload(seen.rows, rank, (out) => {
    for (let i = 0; i < out.length; i++) out[i] = left[i]! * values[i % rank]!;
  });
  await backend.multiply(seen, u, turned, { alpha: -1, beta: 1 });
  const squares = new Float64Array(count);
  for (const [i, value] of (await backend.download(seen)).entries()) squares[i % count]! += value * value;
  const { mean, low, high } = bandOfMean(squares);
  const relative = (square: number) => Math.sqrt(square / energy);
  // W g and W' g are rounded before they are subtracted, which shows where W' is near W.
  const rounding = 2 ** -23 * Math.sqrt(Math.max(probes.rows, seen.rows));
  const band = [Math.max(0, relative(low) - rounding), relative(high) + rounding] as const;
  return { error: relative(mean), basis: 'probes', band };
}
