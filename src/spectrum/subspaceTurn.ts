import { symmetricEigen } from './symmetricEigen.ts';

/** Principal angles in degrees: the largest, their root mean square, and all of them in ascending order. */
export interface Angles {
  readonly largest: number;
  readonly mean: number;
  readonly all: readonly number[];
}

/**
 * The principal angles between the spans of two sets of k orthonormal columns (m x k, row-major). Their sines are the
 * singular values of V - U U^T V (Bjorck and Golub, "Numerical methods for computing angles between linear subspaces",
 * 1973), which resolves small angles that an arc cosine loses to rounding.
 */
export function subspaceTurn(u: Float32Array, v: Float32Array, k: number): Angles {
  const rows = u.length / k;
  const shared = new Float64Array(k * k);
  for (let row = 0; row < rows; row++)
    for (let i = 0; i < k; i++) {
      const value = u[row * k + i]!;
      for (let j = 0; j < k; j++) shared[i * k + j]! += value * v[row * k + j]!;
    }
  const gram = new Float64Array(k * k);
  const rest = new Float64Array(k);
  for (let row = 0; row < rows; row++) {
    for (let j = 0; j < k; j++) {
      let value = v[row * k + j]!;
      for (let i = 0; i < k; i++) value -= u[row * k + i]! * shared[i * k + j]!;
      rest[j] = value;
    }
    for (let i = 0; i < k; i++) for (let j = 0; j < k; j++) gram[i * k + j]! += rest[i]! * rest[j]!;
  }
  const { values } = symmetricEigen(gram, k, []);
  const angles = [...values].map((square) => degrees(Math.asin(Math.min(1, Math.sqrt(Math.max(0, square))))));
  const mean = Math.sqrt(angles.reduce((sum, angle) => sum + angle * angle, 0) / Math.max(1, k));
  return { largest: Math.max(0, ...angles), mean, all: angles.sort((a, b) => a - b) };
}

const degrees = (radians: number) => (radians * 180) / Math.PI;
