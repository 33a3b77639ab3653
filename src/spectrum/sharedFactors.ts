import { balanced } from '../base/balancedFactors.ts';
import { RankscopeError } from '../base/errors.ts';
import { type Backend, type RoutineOptions, type RowSource, TALL } from '../devices/backend.ts';
import { eachSlab } from './eachSlab.ts';
import { Scope } from './scope.ts';
import { stackedRows } from './stackedRows.ts';
import { GrowingTriangle } from './stackedTriangle.ts';
import { transposeOf } from './transpose.ts';
import { truncatedSvd } from './truncated.ts';

/** Matrices W_i (m_i x n) that share a factor; where `transposed`, the sources hold the W_i^T. */
export interface Sharing {
  readonly name: string;
  readonly sources: readonly RowSource[];
  readonly transposed: boolean;
}

/** W_i ~ B_i A. */
export interface SharedFactors {
  /** r x n, row-major. */
  readonly a: Float32Array;
  /** m_i x r each, row-major. */
  readonly b: readonly Float32Array[];
}

/**
 * The factors of a rank that lose least of all matrices together, each weighed as if all had the same mean square
 * entry: the rows of A span the leading right singular vectors V of the stack of the scaled matrices, and B_i = W_i V
 * (Basis Sharing, arXiv 2410.03765). A tall stack is reduced to its triangle in steps: memory is that of the largest
 * matrix, and n x n.
 * @throws RankscopeError 'wrong-use' for a rank out of range, 'not-finite', 'too-large', 'cancelled', 'engine'
 */
export async function sharedFactors(
  backend: Backend,
  { name, sources, transposed }: Sharing,
  rank: number,
  { signal }: RoutineOptions = {},
): Promise<SharedFactors> {
  const scales: number[] = [];
  for (const source of sources) scales.push(await equalizingScale(source, signal));
  const parts = sources.map((source, k) => ({ source, scale: scales[k]! }));
  const stack = stackedRows(name, parts, transposed);
  const basis = await rightBasis(backend, stack, transposed, rank, signal);
  const own: Float32Array[] = [];
  for (const source of sources) own.push(await projected(backend, source, transposed, basis, rank, signal));
  const starts = own.map((_, k) => own.slice(0, k).reduce((sum, { length }) => sum + length, 0));
  const all = new Float32Array(own.reduce((sum, { length }) => sum + length, 0));
  for (const [k, each] of own.entries()) all.set(each, starts[k]!);
  const { a, b } = balanced(all, transposeOf(basis, rank), rank);
  return { a, b: own.map(({ length }, k) => b.subarray(starts[k]!, starts[k]! + length)) };
}

/** Makes the mean square entry one; zero for a matrix of zeros. */
async function equalizingScale(source: RowSource, signal: AbortSignal | undefined): Promise<number> {
  let energy = 0;
  await eachSlab(source, signal, (_row, slab) => {
    for (const value of slab) energy += value * value;
  });
  if (!Number.isFinite(energy))
    throw new RankscopeError('not-finite', source.name, 'contains NaN or infinity', 'Exclude it from the plan');
  return energy > 0 ? Math.sqrt((source.rows * source.cols) / energy) : 0;
}

/** The leading right singular vectors (n x r) of the stack, or of a transposed one the left ones. */
async function rightBasis(
  backend: Backend,
  stack: RowSource,
  transposed: boolean,
  rank: number,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const { rows, cols } = stack;
  if (transposed || rows < TALL * cols) {
    const { left, right } = await truncatedSvd(backend, stack, rank, { signal });
    return transposed ? left : right;
  }
  const triangle = new GrowingTriangle(backend, cols);
  await eachSlab(stack, signal, (_row, slab) => triangle.add(slab.slice(), { signal }));
  const r = await triangle.finish({ signal });
  return Scope.run(backend, async (scope) => {
    const matrix = await scope.upload(cols, cols, (out) => out.set(r));
    return (await backend.svd(matrix, rank, { signal })).right;
  });
}

/** W V (m x r). */
async function projected(
  backend: Backend,
  source: RowSource,
  transposed: boolean,
  basis: Float32Array,
  rank: number,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const { rows, cols } = source;
  const m = transposed ? cols : rows;
  const found = new Float32Array(m * rank);
  await Scope.run(backend, async (scope) => {
    const v = await scope.upload(basis.length / rank, rank, (out) => out.set(basis));
    const sum = transposed ? await scope.allocate(m, rank) : undefined;
    await eachSlab(source, signal, async (row, slab) => {
      const height = slab.length / cols;
      const part = await scope.upload(height, cols, (out) => out.set(slab));
      if (sum) {
        // A slab of W^T holds some inputs of all outputs.
        const some = await scope.upload(height, rank, (out) =>
          out.set(basis.subarray(row * rank, (row + height) * rank)),
        );
        await backend.multiply(sum, part, some, { transposeA: true, beta: row === 0 ? 0 : 1, signal });
        scope.free(some);
      } else {
        const out = await scope.allocate(height, rank);
        await backend.multiply(out, part, v, { signal });
        found.set(await backend.download(out), row * rank);
        scope.free(out);
      }
      scope.free(part);
    });
    if (sum) found.set(await backend.download(sum));
  });
  return found;
}
