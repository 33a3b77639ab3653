import type { Backend, Matrix, RoutineOptions } from '../devices/backend.ts';
import { Bidiagonalization } from './bidiagonalization.ts';
import { symmetricEigen } from './symmetricEigen.ts';
import { transposeOf } from './transpose.ts';
import { triangularProduct } from './triangular.ts';

/** Nodes and weights of a quadrature for the distribution of singular values. */
export interface Quadrature {
  /** Ritz values, descending. */
  readonly values: Float64Array;
  /** weights[k * probes + i] is the squared component of probe i along node k; the weights of a probe sum to 1. */
  readonly weights: Float64Array;
  readonly probes: number;
  /** For each node, a bound on the distance to the nearest singular value. */
  readonly residuals: Float64Array;
}

export interface LanczosOptions extends RoutineOptions {
  readonly seed: number;
  readonly probes: number;
  /** Maximum number of steps. */
  readonly steps: number;
  /** Called now and then to decide whether these quadratures suffice. */
  readonly enough?: (rules: Quadratures) => boolean;
}

/**
 * The quadratures of all steps and of the first three quarters; their difference shows how far the former has
 * converged.
 */
export type Quadratures = readonly [Quadrature, Quadrature];

/** Steps before the first call of `enough`, and between calls. */
const [FIRST_STEPS, MORE_STEPS] = [8, 4];

/**
 * Block Gauss quadrature of W^T W from the projected matrix of a bidiagonalisation that starts with `probes` random
 * vectors (Golub and Meurant 2010, chapter 6): the nodes are its singular values, the weights come from the first
 * blocks of its right vectors. Working with W instead of W^T W preserves the small values, whose squares f32 loses.
 */
export async function blockLanczos(
  backend: Backend,
  matrix: Matrix,
  { seed, probes, steps, enough, signal, progress }: LanczosOptions,
): Promise<Quadratures> {
  const krylov = await Bidiagonalization.start(backend, matrix, probes, seed);
  try {
    const { diagonal, above } = krylov;
    const rule = (size: number) => quadrature(diagonal.slice(0, size), above.slice(0, size), probes);
    for (let step = 1; ; step++) {
      // What the last R would say of the residuals, the one before says well enough.
      if (step === steps && step > 1) await krylov.halfStep(signal, 'preview');
      else await krylov.step(signal, 'preview');
      progress?.(step / (steps + 1));
      const due = step >= FIRST_STEPS && (step - FIRST_STEPS) % MORE_STEPS === 0;
      if (step < steps && !(due && enough)) continue;
      const rules = [rule(step), rule(Math.max(1, Math.floor((3 * step) / 4)))] as const;
      if (enough?.(rules) || step === steps) return rules;
    }
  } finally {
    krylov.free();
  }
}

/**
 * Nodes and weights from the blocks A_j and R_j, of which the last may be missing: the one before then stands for it in
 * the residuals. In f64, squaring the projected matrix loses nothing that f32 determined.
 */
function quadrature(diagonal: readonly Float32Array[], above: readonly Float32Array[], width: number): Quadrature {
  const size = diagonal.length * width;
  const gram = squared(diagonal, above, width);
  const first = Array.from({ length: width }, (_, i) => i);
  const eigen = symmetricEigen(gram, size, [...first, ...first.map((i) => size - width + i)]);
  const order = Array.from(eigen.values.keys()).sort((one, other) => eigen.values[other]! - eigen.values[one]!);
  const values = Float64Array.from(order, (k) => Math.sqrt(Math.max(0, eigen.values[k]!)));
  const weights = new Float64Array(size * width);
  for (const [place, k] of order.entries()) {
    for (let i = 0; i < width; i++) weights[place * width + i] = eigen.rows[i]![k]! ** 2;
  }
  // ||W^T W v - sigma^2 v|| = ||R_s A_s y_s|| with the last block y_s of the right vector. Divided by sigma, it bounds
  // the error of sigma; so does its square root, which is the smaller bound where sigma vanishes.
  const last = triangularProduct(above.at(-1)!, diagonal.at(-1)!, width);
  const residuals = values.map((value, place) => {
    let squares = 0;
    for (let i = 0; i < width; i++) {
      let sum = 0;
      for (let j = i; j < width; j++) sum += last[i * width + j]! * eigen.rows[width + j]![order[place]!]!;
      squares += sum * sum;
    }
    return Math.min(Math.sqrt(squares) / Math.max(value, Number.MIN_VALUE), squares ** 0.25);
  });
  return { values, weights, probes: width, residuals };
}

/** The lower triangle of B^T B, of the block bidiagonal B with A_j on the diagonal and R_j^T above. */
function squared(diagonal: readonly Float32Array[], above: readonly Float32Array[], width: number): Float64Array {
  const size = diagonal.length * width;
  const out = new Float64Array(size * size);
  /** Adds X^T Y, of blocks that are given by columns, to the block at (row, col). */
  const add = (row: number, col: number, x: Float32Array, y: Float32Array) => {
    for (let i = 0; i < width; i++) {
      for (let j = 0; j < width; j++) {
        let sum = 0;
        for (let k = 0; k < width; k++) sum += x[i * width + k]! * y[j * width + k]!;
        out[(row * width + i) * size + col * width + j]! += sum;
      }
    }
  };
  for (const [step, block] of diagonal.entries()) {
    const a = transposeOf(block, width);
    add(step, step, a, a);
    if (step + 1 === diagonal.length) break;
    const r = above[step]!;
    add(step + 1, step + 1, r, r);
    add(step + 1, step, r, a);
  }
  return out;
}
