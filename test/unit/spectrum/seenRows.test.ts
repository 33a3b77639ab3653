import assert from 'node:assert/strict';
import { seededRandom } from '../../../src/base/random.ts';
import type { Backend } from '../../../src/devices/backend.ts';
import { createCpuBackend } from '../../../src/devices/cpu/backend.ts';
import { createReferenceBackend } from '../../../src/devices/reference/backend.ts';
import { exactSpectrum } from '../../../src/spectrum/exact.ts';
import { type SeenBy, withSeenRows } from '../../../src/spectrum/seenRows.ts';
import { GrowingTriangle } from '../../../src/spectrum/stackedTriangle.ts';
import { tolerance } from '../../numeric/checks.ts';
import { sourceOf, withMatrix } from '../../numeric/device.ts';

const [M, N, T] = [40, 24, 130];

/** Row-major values, column j scaled by `grade(j)`. */
function gaussian(rows: number, cols: number, seed: number, grade: (j: number) => number = () => 1): Float32Array {
  const random = seededRandom(seed);
  return Float32Array.from({ length: rows * cols }, (_, i) => grade(i % cols) * random.normal());
}

/** a (m x k) times the transpose of b (n x k), in f64. */
function timesTransposed(a: ArrayLike<number>, b: ArrayLike<number>, k: number): Float64Array {
  const [m, n] = [a.length / k, b.length / k];
  const out = new Float64Array(m * n);
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++) for (let l = 0; l < k; l++) out[i * n + j]! += a[i * k + l]! * b[j * k + l]!;
  return out;
}

function transposed(a: Float32Array, cols: number): Float32Array {
  const rows = a.length / cols;
  return Float32Array.from({ length: a.length }, (_, i) => a[(i % rows) * cols + Math.floor(i / rows)]!);
}

/** R of the rows of X^T, which arrive in pieces of these heights. */
async function triangleOf(backend: Backend, rows: Float32Array, heights: readonly number[], each = false) {
  const triangle = new GrowingTriangle(backend, N);
  let at = 0;
  for (const height of heights) {
    await triangle.add(rows.slice(at * N, (at + height) * N));
    if (each) await triangle.settle();
    at += height;
  }
  return triangle.finish();
}

function fullOf(r: Float32Array, shrinkage = 0): SeenBy {
  const read: SeenBy['read'] = async (row, out) => void out.set(r.subarray(row * N, row * N + out.length));
  return { kind: 'full', inputs: N, shrinkage, read };
}

/** Singular values by Jacobi rotations in f64. */
async function truth(product: Float64Array, rows: number, cols: number): Promise<Float64Array> {
  const backend = createReferenceBackend();
  const scale = product.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const data = Float32Array.from(product, (value) => value / scale);
  const values = await withMatrix(backend, data, rows, cols, (matrix) => backend.singularValues(matrix));
  return values.map((value) => value * scale);
}

describe('the spectrum of W as activations see it', () => {
  let backend: Backend;
  before(() => {
    backend = createCpuBackend(2);
  });
  after(() => backend.close());

  const w = gaussian(M, N, 1);
  // The inputs of real layers differ in size by orders of magnitude.
  const x = gaussian(T, N, 2, (j) => 10 ** (-j / 6));

  const seen = (source: Float32Array, isTransposed: boolean, by: SeenBy) =>
    withSeenRows(
      backend,
      { source: isTransposed ? sourceOf(source, N, M) : sourceOf(source, M, N), transposed: isTransposed },
      by,
      {},
      async (rows) => (await exactSpectrum(backend, rows)).singularValues,
    );
  const check = (values: Float64Array, right: Float64Array) => {
    assert.equal(values.length, N);
    const bound = 4 * tolerance(M, T, right[0]!);
    for (let i = 0; i < N; i++) assert.ok(Math.abs(values[i]! - right[i]!) <= bound, `${i}: ${values[i]}, ${right[i]}`);
  };

  it('has the singular values of W X, from R alone', async () => {
    const right = await truth(timesTransposed(w, x, N), M, T);
    const r = await triangleOf(backend, x, [T]);
    check(await seen(w, false, fullOf(r)), right);
    check(await seen(transposed(w, N), true, fullOf(r)), right);
    assert.ok(right[N - 1]! < 1e-3 * right[0]!, 'the spectrum is not graded');
  });

  it('is the same in whatever pieces the tokens arrive', async () => {
    const right = await truth(timesTransposed(w, x, N), M, T);
    for (const heights of [[1, 2, 3, 4, 120], [40, 40, 40, 10], Array.from({ length: T }, () => 1)])
      check(await seen(w, false, fullOf(await triangleOf(backend, x, heights, true))), right);
  });

  it('keeps the small values, which a Gram matrix in f32 loses', async () => {
    const right = await truth(timesTransposed(w, x, N), M, T);
    const bound = 4 * tolerance(M, T, right[0]!);
    const rows = transposed(x, N);
    // X X^T, rounded after each product and sum.
    const gram = Float32Array.from({ length: N * N }, (_, ij) => {
      let sum = 0;
      for (let t = 0; t < T; t++)
        sum = Math.fround(sum + Math.fround(rows[Math.floor(ij / N) * T + t]! * rows[(ij % N) * T + t]!));
      return sum;
    });
    const squares = await truth(timesTransposed(timesTransposed(w, gram, N), w, N), M, M);
    const worst = Math.max(...Array.from(right, (value, i) => Math.abs(Math.sqrt(squares[i]!) - value)));
    assert.ok(worst > 5 * bound, `off by ${worst}, ${bound} is allowed`);
    check(await seen(w, false, fullOf(await triangleOf(backend, x, [50, 50, 30], true))), right);
  });

  it('has at most as many values above rounding as there were tokens', async () => {
    const few = x.subarray(0, 5 * N);
    const right = await truth(timesTransposed(w, few, N), M, 5);
    const values = await seen(w, false, fullOf(await triangleOf(backend, few, [2, 3], true)));
    for (let i = 0; i < 5; i++) assert.ok(Math.abs(values[i]! - right[i]!) < 1e-5 * right[0]!);
    for (const value of values.slice(5)) assert.ok(value < 1e-5 * right[0]!);
  });

  it('shrinks few tokens toward their mean', async () => {
    const few = x.subarray(0, 5 * N);
    const energy = few.reduce((sum, value) => sum + value * value, 0);
    const a = 0.01;
    // Inputs that have X X^T + a mean I: those of X, and a multiple of each unit vector.
    const more = new Float32Array((5 + N) * N);
    more.set(few);
    for (let i = 0; i < N; i++) more[(5 + i) * N + i] = Math.sqrt((a * energy) / N);
    const right = await truth(timesTransposed(w, more, N), M, 5 + N);
    check(await seen(w, false, fullOf(await triangleOf(backend, few, [5]), a)), right);
  });

  it('scales the columns by the root of a diagonal', async () => {
    const roots = Float32Array.from({ length: N }, (_, j) => 3 ** (-j / 4));
    const diagonal: SeenBy = { kind: 'diagonal', inputs: N, shrinkage: 0, read: async (_, out) => void out.set(roots) };
    const product = Float64Array.from(w, (value, i) => value * roots[i % N]!);
    const right = await truth(product, M, N);
    check(await seen(w, false, diagonal), right);
    check(await seen(transposed(w, N), true, diagonal), right);
  });

  it('is all zero where no token came', async () => {
    const values = await seen(w, false, fullOf(await triangleOf(backend, x, [])));
    assert.ok(values.every((value) => value === 0));
  });
});
