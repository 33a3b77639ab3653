import { yieldOrCancel } from '../base/eventLoop.ts';
import type { Backend, RoutineOptions } from '../devices/backend.ts';
import { Scope } from './scope.ts';
import { symmetricEigen } from './symmetricEigen.ts';
import { transposeOf } from './transpose.ts';

/** The angles between two of the spaces. */
export interface SpacePair {
  /** Indices among the spaces, `first` < `second`. */
  readonly first: number;
  readonly second: number;
  /** Cosines of the principal angles, descending. */
  readonly cosines: readonly number[];
}

/**
 * Cosines of the principal angles between any two of several spaces: the singular values of V_i^T V_j (Bjorck and
 * Golub, "Numerical methods for computing angles between linear subspaces", 1973). In f32, an angle below 0.03 degrees
 * cannot be told from zero.
 * @param spaces orthonormal bases, each n x k (row-major)
 */
export async function principalAngles(
  backend: Backend,
  name: string,
  spaces: readonly Float32Array[],
  k: number,
  { signal }: RoutineOptions = {},
): Promise<SpacePair[]> {
  const pause = yieldOrCancel(signal, name);
  const count = spaces.length;
  const n = (spaces[0]?.length ?? 0) / k;
  const pairs: SpacePair[] = [];
  await Scope.run(backend, async (scope) => {
    // One row of blocks at a time: V_i^T [V_{i+1} V_{i+2} ...].
    const all = await scope.allocate(count * k, n);
    for (const [i, space] of spaces.entries())
      await backend.upload(all, i * k, k, (out) => out.set(transposeOf(space, k)));
    for (const [first, space] of spaces.entries()) {
      const own = await scope.upload(n, k, (out) => out.set(space));
      const out = await scope.allocate(count * k, k);
      await backend.multiply(out, all, own, { signal });
      const blocks = await backend.download(out);
      for (const matrix of [own, out]) scope.free(matrix);
      for (let second = first + 1; second < count; second++) {
        await pause();
        pairs.push({ first, second, cosines: cosinesOf(blocks.subarray(second * k * k, (second + 1) * k * k), k) });
      }
    }
  });
  return pairs;
}

/** The singular values of a k x k block, which no rounding takes above one. */
function cosinesOf(block: Float32Array, k: number): number[] {
  const gram = new Float64Array(k * k);
  for (let i = 0; i < k; i++)
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let row = 0; row < k; row++) sum += block[row * k + i]! * block[row * k + j]!;
      gram[i * k + j] = sum;
      gram[j * k + i] = sum;
    }
  const { values } = symmetricEigen(gram, k, []);
  return Array.from(values, (value) => Math.min(1, Math.sqrt(Math.max(0, value)))).sort((a, b) => b - a);
}
