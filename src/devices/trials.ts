import { seededRandom } from '../base/random.ts';
import type { Backend, Matrix, MultiplyOptions } from './backend.ts';

/** Shapes that take different ways through a device: square, thin, tall, deep, odd and even sides, each transposed. */
const SHAPES = [
  { m: 70, k: 300, n: 53 },
  { m: 260, k: 33, n: 48, transposeA: true },
  { m: 96, k: 520, n: 16, transposeB: true },
  { m: 129, k: 200, n: 257, transposeA: true, transposeB: true },
  { m: 300, k: 260, n: 1 },
  { m: 33, k: 520, n: 96, transposeA: true },
];
/** Far above the rounding of sums of 520 products of numbers below 1/2, far below the effect of a wrong element. */
const TOLERANCE = 3e-4;

/** Checks products and singular values of a freshly opened device against f64. @throws where they are wrong */
export async function proveCorrect(backend: Backend, signal?: AbortSignal): Promise<void> {
  await proveProducts(backend);
  const [rows, cols] = [70, 300];
  const entries = numbers(rows * cols, 1);
  const matrix = await filled(backend, rows, cols, entries);
  // The squared singular values sum to the squared entries.
  const squares = entries.reduce((sum, x) => sum + x * x, 0);
  const values = await backend.singularValues(matrix, { signal });
  const found = values.reduce((sum, x) => sum + x * x, 0);
  if (!(Math.abs(found / squares - 1) < TOLERANCE)) throw new Error('its trial spectrum was wrong');
  backend.free(matrix);
}

/** Checks only the products. @throws where one is wrong */
export async function proveProducts(backend: Backend): Promise<void> {
  for (const [index, shape] of SHAPES.entries()) await proveProduct(backend, shape, index);
}

/** Compares C x with op(A) (op(B) x) in f64 for a random x: no wrong element of C goes unseen (Freivalds 1977). */
async function proveProduct(
  backend: Backend,
  { m, k, n, ...transposed }: { m: number; k: number; n: number } & MultiplyOptions,
  seed: number,
): Promise<void> {
  const { transposeA = false, transposeB = false } = transposed;
  const [left, right, x] = [numbers(m * k, 3 * seed), numbers(k * n, 3 * seed + 1), numbers(n, 3 * seed + 2)];
  const a = await (transposeA ? filled(backend, k, m, left) : filled(backend, m, k, left));
  const b = await (transposeB ? filled(backend, n, k, right) : filled(backend, k, n, right));
  const c = await filled(backend, m, n, new Float32Array(m * n).fill(Number.NaN));
  await backend.multiply(c, a, b, transposed);
  const product = await backend.download(c);
  for (const matrix of [a, b, c]) backend.free(matrix);
  const expected = applied(left, m, k, transposeA, applied(right, k, n, transposeB, x));
  const found = applied(product, m, n, false, x);
  if (!found.every((value, i) => Math.abs(value - expected[i]!) < TOLERANCE)) {
    throw new Error(`its trial product of ${m} x ${k} by ${k} x ${n} was wrong`);
  }
}

/** op(matrix) x in f64, where op(matrix) is rows x cols. */
function applied(
  matrix: Float32Array,
  rows: number,
  cols: number,
  transposed: boolean,
  x: ArrayLike<number>,
): Float64Array {
  const [down, right] = transposed ? [1, rows] : [cols, 1];
  return Float64Array.from({ length: rows }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < cols; j++) sum += matrix[i * down + j * right]! * x[j]!;
    return sum;
  });
}

async function filled(backend: Backend, rows: number, cols: number, entries: Float32Array): Promise<Matrix> {
  const matrix = await backend.allocate(rows, cols);
  await backend.upload(matrix, 0, rows, (out) => out.set(entries));
  return matrix;
}

/**
 * Multiplies the same matrices again and again, large enough for all threads to take part at once: a library that is
 * not safe for threads fails now and then. @throws where a product differs from the first
 */
export async function proveSteady(backend: Backend): Promise<void> {
  const size = 320;
  const a = await filled(backend, size, size, numbers(size * size, 5));
  const b = await filled(backend, size, size, numbers(size * size, 6));
  const c = await backend.allocate(size, size);
  let first: Float32Array | undefined;
  for (let run = 0; run < 10; run++) {
    await backend.multiply(c, a, b);
    const product = await backend.download(c);
    first ??= product;
    const steady = product.every((value, i) => Math.abs(value - first![i]!) < TOLERANCE);
    if (!steady) throw new Error('its products differ from one time to the next');
  }
  for (const matrix of [a, b, c]) backend.free(matrix);
}

/** Large enough to keep a GPU busy, small enough to take a moment on any processor. */
const SIZE = 1024;

/** Seconds for a size x size product and its download: the best of all runs but the first, which warms up. */
export async function timeProduct(backend: Backend, size = SIZE, runs = 3): Promise<number> {
  const [a, b, c] = [
    await backend.allocate(size, size),
    await backend.allocate(size, size),
    await backend.allocate(size, size),
  ];
  const fill = (out: Float32Array) => {
    for (let i = 0; i < out.length; i++) out[i] = ((i * 7919) % 1000) / 1000 - 0.5;
  };
  await backend.upload(a, 0, size, fill);
  await backend.upload(b, 0, size, fill);
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < runs; run++) {
    const start = performance.now();
    await backend.multiply(c, a, b);
    await backend.download(c);
    if (run > 0) best = Math.min(best, (performance.now() - start) / 1000);
  }
  for (const matrix of [a, b, c]) backend.free(matrix);
  return best;
}

/** Seconds for all singular values of a size x size matrix: the best of all runs but the first. */
export async function timeValues(backend: Backend, size: number, runs: number): Promise<number> {
  const entries = numbers(size * size, 7);
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < runs; run++) {
    const matrix = await filled(backend, size, size, entries);
    const start = performance.now();
    await backend.singularValues(matrix);
    if (run > 0) best = Math.min(best, (performance.now() - start) / 1000);
    backend.free(matrix);
  }
  return best;
}

/** Reproducible numbers in [-0.5, 0.5). */
function numbers(count: number, seed: number): Float32Array {
  const { uniform } = seededRandom(seed);
  return Float32Array.from({ length: count }, () => uniform() - 0.5);
}
