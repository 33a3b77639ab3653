import type { Backend, RoutineOptions } from '../devices/backend.ts';
import type { SeenBy } from './seenRows.ts';
import { GrowingTriangle } from './stackedTriangle.ts';

/** Entries of R that are read at a time. */
const STEP = 2 ** 20;

/**
 * What stands for the inputs of several matrices together: the sum of their X X^T, with the shrinkage of each, as Basis
 * Sharing takes it for neighbouring layers (arXiv 2410.03765, section 3.2). Memory: R (n x n), and the rows that wait.
 * @throws RankscopeError 'too-large', 'cancelled', 'engine', what the statistics throw
 */
export async function pooledInputs(
  backend: Backend,
  all: readonly SeenBy[],
  options: RoutineOptions = {},
): Promise<SeenBy> {
  const { kind, inputs: n } = all[0]!;
  if (kind === 'diagonal') {
    const squares = new Float64Array(n);
    const roots = new Float32Array(n);
    for (const seen of all) {
      await seen.read(0, roots, options.signal);
      for (const [i, root] of roots.entries()) squares[i]! += root * root;
    }
    return inMemory('diagonal', n, Float32Array.from(squares, Math.sqrt));
  }
  const triangle = new GrowingTriangle(backend, n);
  const step = Math.max(1, Math.floor(STEP / n));
  for (const { shrinkage, read } of all) {
    let energy = 0;
    for (let row = 0; row < n; row += step) {
      const rows = new Float32Array(Math.min(step, n - row) * n);
      await read(row, rows, options.signal);
      for (const value of rows) energy += value * value;
      await triangle.add(rows, options);
    }
    if (shrinkage > 0 && energy > 0) await addDiagonal(triangle, n, Math.sqrt((shrinkage * energy) / n), options);
  }
  return inMemory('full', n, await triangle.finish(options));
}

/** Adds a multiple of I. */
async function addDiagonal(triangle: GrowingTriangle, n: number, value: number, options: RoutineOptions) {
  const step = Math.max(1, Math.floor(STEP / n));
  for (let row = 0; row < n; row += step) {
    const rows = new Float32Array(Math.min(step, n - row) * n);
    for (let i = 0; i < rows.length / n; i++) rows[i * n + row + i] = value;
    await triangle.add(rows, options);
  }
}

function inMemory(kind: SeenBy['kind'], inputs: number, values: Float32Array): SeenBy {
  return {
    kind,
    inputs,
    shrinkage: 0,
    async read(row, out) {
      out.set(values.subarray(row * inputs, row * inputs + out.length));
    },
  };
}
