import { seededRandom } from '../base/random.ts';
import type { Backend } from './backend.ts';

const M = 70;
const K = 300;
const N = 53;
/** Sums of 300 products of numbers below 1: their rounding is far below, any wrong element far above. */
const TOLERANCE = 1e-4;

/** Lets a fresh engine show that it computes: a product read back against the same in f64. @throws where it is wrong */
export async function prove(backend: Backend, signal?: AbortSignal): Promise<void> {
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
      if (!(Math.abs(product[i * N + j]! - sum) < TOLERANCE)) throw new Error('its trial product came out wrong');
    }
  }
  // The squares of all singular values sum up to those of all entries.
  const squares = left.reduce((sum, x) => sum + x * x, 0);
  const values = await backend.singularValues(a, { signal });
  const found = values.reduce((sum, x) => sum + x * x, 0);
  if (!(Math.abs(found / squares - 1) < TOLERANCE)) throw new Error('its trial spectrum came out wrong');
  for (const matrix of [a, b, c]) backend.free(matrix);
}

/** Fixed numbers in [-0.5, 0.5). */
function numbers(count: number, seed: number): Float32Array {
  const { uniform } = seededRandom(seed);
  return Float32Array.from({ length: count }, () => uniform() - 0.5);
}
