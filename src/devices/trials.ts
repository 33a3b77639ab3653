import { seededRandom } from '../base/random.ts';
import type { Backend } from './backend.ts';

const [M, K, N] = [70, 300, 53];
/** Far above the rounding of a sum of 300 products of numbers below 1, far below the effect of a wrong element. */
const TOLERANCE = 1e-4;

/** Checks a product and singular values of a freshly opened device against f64. @throws where they are wrong */
export async function proveCorrect(backend: Backend, signal?: AbortSignal): Promise<void> {
  const left = numbers(M * K, 1);
  const right = numbers(K * N, 2);
  const [a, b, c] = [await backend.allocate(M, K), await backend.allocate(K, N), await backend.allocate(M, N)];
  await backend.upload(a, 0, M, (out) => out.set(left));
  await backend.upload(b, 0, K, (out) => out.set(right));
  await backend.multiply(c, a, b);
  const product = await backend.download(c);
  for (let i = 0; i < M; i++) {
    for (let j = 0; j < N; j++) {
      let sum = 0;
      for (let k = 0; k < K; k++) sum += left[i * K + k]! * right[k * N + j]!;
      if (!(Math.abs(product[i * N + j]! - sum) < TOLERANCE)) throw new Error('its trial product was wrong');
    }
  }
  // The squared singular values sum to the squared entries.
  const squares = left.reduce((sum, x) => sum + x * x, 0);
  const values = await backend.singularValues(a, { signal });
  const found = values.reduce((sum, x) => sum + x * x, 0);
  if (!(Math.abs(found / squares - 1) < TOLERANCE)) throw new Error('its trial spectrum was wrong');
  for (const matrix of [a, b, c]) backend.free(matrix);
}

/** Large enough to keep a GPU busy, small enough to take a moment on any processor. */
const SIZE = 1024;

/** Seconds for a 1024 x 1024 product and its download: the better of two runs after a first to warm up. */
export async function timeProduct(backend: Backend): Promise<number> {
  const [a, b, c] = [
    await backend.allocate(SIZE, SIZE),
    await backend.allocate(SIZE, SIZE),
    await backend.allocate(SIZE, SIZE),
  ];
  const fill = (out: Float32Array) => {
    out.forEach((_, i) => {
      out[i] = ((i * 7919) % 1000) / 1000 - 0.5;
    });
  };
  await backend.upload(a, 0, SIZE, fill);
  await backend.upload(b, 0, SIZE, fill);
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < 3; run++) {
    const start = performance.now();
    await backend.multiply(c, a, b);
    await backend.download(c);
    if (run > 0) best = Math.min(best, (performance.now() - start) / 1000);
  }
  for (const matrix of [a, b, c]) backend.free(matrix);
  return best;
}

/** Reproducible numbers in [-0.5, 0.5). */
function numbers(count: number, seed: number): Float32Array {
  const { uniform } = seededRandom(seed);
  return Float32Array.from({ length: count }, () => uniform() - 0.5);
}
