import type { SingularTriplets } from '../../base/singularTriplets.ts';
import type { Factors } from '../../network/variant.ts';
import type { FoundFactors } from '../../write/factorTensors.ts';

/** Balanced factors for the writer; as three, U and V with columns of length one, which need not be orthogonal. */
export function found({ b, a }: Factors, rank: number, factors: 2 | 3): FoundFactors {
  return factors === 2 ? { rank, b, a } : tripletsOf({ b, a }, rank);
}

/** U, the lengths and V of factors, with columns of length one that need not be orthogonal. */
export function tripletsOf({ b, a }: Factors, rank: number): SingularTriplets {
  const [m, n] = [b.length / rank, a.length / rank];
  const left = b.slice();
  const right = new Float32Array(n * rank);
  const values = new Float64Array(rank);
  for (let k = 0; k < rank; k++) {
    let [up, down] = [0, 0];
    for (let i = 0; i < m; i++) up += b[i * rank + k]! ** 2;
    for (let j = 0; j < n; j++) down += a[k * n + j]! ** 2;
    values[k] = Math.sqrt(up) * Math.sqrt(down);
    if (values[k] === 0) continue;
    for (let i = 0; i < m; i++) left[i * rank + k]! /= Math.sqrt(up);
    for (let j = 0; j < n; j++) right[j * rank + k] = a[k * n + j]! / Math.sqrt(down);
  }
  return { left, values, right };
}
