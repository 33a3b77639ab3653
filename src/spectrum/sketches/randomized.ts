import { throwIfCancelled } from '../../base/errors.ts';
import { seededRandom } from '../../base/random.ts';
import type { Backend, Matrix } from '../../devices/backend.ts';
import { Scope } from '../scope.ts';
import type { LoadedMatrix } from './loadedMatrix.ts';
import {
  checkRank,
  errorFromNorms,
  gaussian,
  qrMultiplyAdds,
  type Sketched,
  type SketchOptions,
  sketchWidth,
} from './sketch.ts';

export interface RandomizedOptions extends SketchOptions {
  /** Default 2. */
  readonly powerIterations?: number;
}

/**
 * Randomized truncated SVD (Halko, Martinsson and Tropp 2011, algorithms 4.4 and 5.1): Q spans (W W^T)^q W Omega, and
 * W' is the truncated SVD of Q Q^T W. Between the products stands a QR, without which the powers lose the small
 * directions in f32. Its error follows from norms.
 * @throws RankscopeError 'wrong-use' for a rank outside 1 .. min(m, n), 'too-large', 'cancelled', 'engine'
 */
export function randomizedSvd(
  backend: Backend,
  loaded: LoadedMatrix,
  rank: number,
  options: RandomizedOptions = {},
): Promise<Sketched> {
  const { name, matrix, scale, energy } = loaded;
  const { rows: m, cols: n } = matrix;
  checkRank({ name, rows: m, cols: n }, rank);
  const { signal, progress, seed = 1, oversampling, powerIterations = 2 } = options;
  const width = sketchWidth(loaded, rank, oversampling);
  const products = 2 * powerIterations + 2;
  let done = 0;
  return Scope.run(backend, async (scope) => {
    const project = async (out: Matrix, by: Matrix, transposeA: boolean) => {
      throwIfCancelled(signal, name);
      await backend.multiply(out, matrix, by, { transposeA, signal });
      progress?.(++done / (products + 1));
    };
    const orthonormalize = async (basis: Matrix) =>
      scope.free(scope.keep(await backend.orthonormalize(basis, { signal })));
    const narrow = await gaussian(scope, n, width, seededRandom(seed));
    const basis = await scope.allocate(m, width);
    await project(basis, narrow, false);
    await orthonormalize(basis);
    for (let iteration = 0; iteration < powerIterations; iteration++) {
      await project(narrow, basis, true);
      await orthonormalize(narrow);
      await project(basis, narrow, false);
      await orthonormalize(basis);
    }
    await project(narrow, basis, true);
    // W^T Q = right diag(values) inner^T, so that Q Q^T W = (Q inner) diag(values) right^T.
    const { left: right, values, right: inner } = await backend.svd(narrow, rank, { signal });
    return {
      factors: { left: await scope.turned(basis, inner, rank), values: values.map((value) => value / scale), right },
      predicted: errorFromNorms(values, energy),
      cost: {
        passes: products,
        multiplyAdds:
          products * m * n * width +
          (powerIterations + 1) * qrMultiplyAdds(m, width) +
          (powerIterations + 1) * qrMultiplyAdds(n, width),
      },
    };
  });
}
