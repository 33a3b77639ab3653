import { throwIfCancelled } from '../../base/errors.ts';
import { seededRandom } from '../../base/random.ts';
import type { Backend } from '../../devices/backend.ts';
import { Scope } from '../scope.ts';
import type { LoadedMatrix } from './loadedMatrix.ts';
import { checkRank, errorFromNorms, qrMultiplyAdds, type Sketched, type SketchOptions, sketchWidth } from './sketch.ts';

/** W ~ C (C^+ W R^+) R with some columns C and rows R of W. */
export interface ColumnRow extends Sketched {
  /** Indices of the columns taken, ascending. */
  readonly columns: readonly number[];
  /** Likewise of the rows. */
  readonly rows: readonly number[];
}

/**
 * Column/row approximation of any matrix (Drineas, Kannan and Mahoney 2006, part III). Columns and rows are sampled
 * without replacement, with probabilities proportional to their squared norms; the core C^+ W R^+ is optimal for them.
 * In orthonormal bases of both, this projects W from either side, so that its error follows from norms alone.
 * @throws RankscopeError 'wrong-use' for a rank outside 1 .. min(m, n), 'too-large', 'cancelled', 'engine'
 */
export function columnRowSvd(
  backend: Backend,
  loaded: LoadedMatrix,
  rank: number,
  options: SketchOptions = {},
): Promise<ColumnRow> {
  const { name, matrix, scale, energy, rowSquares, columnSquares } = loaded;
  const { rows: m, cols: n } = matrix;
  checkRank({ name, rows: m, cols: n }, rank);
  const { signal, progress, seed = 1, oversampling } = options;
  const width = sketchWidth(loaded, rank, oversampling);
  return Scope.run(backend, async (scope) => {
    const random = seededRandom(seed);
    const columns = sample(columnSquares, width, random.uniform);
    const rows = sample(rowSquares, width, random.uniform);
    const basis = async (chosen: readonly number[], length: number, transposeA: boolean) => {
      throwIfCancelled(signal, name);
      const side = transposeA ? m : n;
      const selection = await scope.upload(side, width, (out) => {
        out.fill(0);
        for (const [k, index] of chosen.entries()) out[index * width + k] = 1;
      });
      const out = await scope.allocate(length, width);
      await backend.multiply(out, matrix, selection, { transposeA, signal });
      scope.free(selection);
      scope.free(scope.keep(await backend.orthonormalize(out, { signal })));
      return out;
    };
    const left = await basis(columns, m, false);
    progress?.(0.3);
    const right = await basis(rows, n, true);
    progress?.(0.6);
    const half = await scope.allocate(m, width);
    await backend.multiply(half, matrix, right, { signal });
    const core = await scope.allocate(width, width);
    await backend.multiply(core, left, half, { transposeA: true, signal });
    const { left: u, values, right: v } = await backend.svd(core, rank, { signal });
    const factors = {
      left: await scope.turned(left, u, rank),
      values: values.map((value) => value / scale),
      right: await scope.turned(right, v, rank),
    };
    progress?.(1);
    return {
      factors,
      columns,
      rows,
      predicted: errorFromNorms(values, energy),
      cost: {
        passes: 3,
        multiplyAdds: 3 * m * n * width + m * width ** 2 + qrMultiplyAdds(m, width) + qrMultiplyAdds(n, width),
      },
    };
  });
}

/**
 * `count` distinct indices, ascending, with probabilities proportional to the weights: those with the smallest -ln(u) /
 * weight (Efraimidis and Spirakis 2006). Indices of weight zero are taken last.
 */
function sample(weights: Float64Array, count: number, uniform: () => number): number[] {
  const keys = weights.map((weight) => -Math.log(1 - uniform()) / weight);
  return Array.from(keys.keys())
    .sort((one, other) => (keys[one] === keys[other] ? one - other : keys[one]! - keys[other]!))
    .slice(0, count)
    .sort((one, other) => one - other);
}
