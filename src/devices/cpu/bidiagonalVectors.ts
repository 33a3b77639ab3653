// Singular vectors of an upper bidiagonal B in f64 by twisted factorizations of B^T B - lambda (Dhillon and Parlett
// 2004).
//
// The values come from dqds with high relative accuracy and the factorizations from differential qd transforms, so the
// error of a vector is about eps / (relative gap): good enough for f32 down to gaps of 1e-9. Values that are closer
// only because of a symmetry are separated by perturbing B by a relative 2^-30, far below its own rounding in f32.
import { dqdsValues } from './dqds.ts';

const NEGLIGIBLE = 2 ** -50;
const PERTURBATION = 2 ** -30;
/** Replaces a pivot of zero. */
const TINY = 2 ** -500;

/** A singular value of one unreduced block of B, from which its vectors can be computed. */
export interface Triplet {
  readonly value: number;
  readonly block: DiagonalBlock;
}

interface DiagonalBlock {
  /** Index of its first row in B. */
  readonly from: number;
  readonly diagonal: Float64Array;
  readonly superdiagonal: Float64Array;
}

/** The `rank` largest values, descending, of B as perturbed here; each with its block for `VectorSolver`. */
export function leadingTriplets(diagonal: Float64Array, superdiagonal: Float64Array, rank: number): Triplet[] {
  const scale = Math.max(
    ...[diagonal, superdiagonal].map((x) => x.reduce((most, y) => Math.max(most, Math.abs(y)), 0)),
  );
  if (!(scale > 0)) return [];
  let state = 1;
  const perturbed = (x: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return x * (1 + PERTURBATION * (state / 2 ** 32));
  };
  // A zero on the diagonal becomes negligible but nonzero: that moves no value and makes every block invertible.
  const d = diagonal.map((x) => perturbed(Math.abs(x) < NEGLIGIBLE * scale ? NEGLIGIBLE * scale : x));
  const e = superdiagonal.map((x) => (Math.abs(x) < NEGLIGIBLE * scale ? 0 : perturbed(x)));
  const triplets: Triplet[] = [];
  for (let from = 0, i = 0; i < d.length; i++) {
    if (i < e.length && e[i] !== 0) continue;
    const block = { from, diagonal: d.subarray(from, i + 1), superdiagonal: e.subarray(from, i) };
    for (const value of dqdsValues(block.diagonal, block.superdiagonal, 0)) triplets.push({ value, block });
    from = i + 1;
  }
  return triplets.sort((a, b) => b.value - a.value).slice(0, rank);
}

/** Computes vectors one at a time, in workspace of n numbers per factor. */
export class VectorSolver {
  private readonly upper: Float64Array;
  private readonly lower: Float64Array;
  private readonly below: Float64Array;
  private readonly above: Float64Array;
  readonly right: Float64Array;
  readonly left: Float64Array;

  constructor(n: number) {
    [this.upper, this.lower, this.below, this.above, this.right, this.left] = Array.from(
      { length: 6 },
      () => new Float64Array(n),
    ) as [Float64Array, Float64Array, Float64Array, Float64Array, Float64Array, Float64Array];
  }

  /** Sets `left` and `right` to the unit vectors of a value, which are zero outside its block. */
  solve({ value, block }: Triplet): void {
    const { from, diagonal, superdiagonal } = block;
    const n = diagonal.length;
    const right = this.right.fill(0).subarray(from, from + n);
    const left = this.left.fill(0).subarray(from, from + n);
    const scale = value > 0 ? 1 / value : 1;
    let shift = (value * scale) ** 2;
    for (let round = 0; round < 3; round++) {
      const { twist, gamma } = this.factor(diagonal, superdiagonal, scale, shift);
      const squares = this.twisted(right, twist, n);
      const correction = gamma / squares;
      // A large correction would lead to another value; it arises only from cancellation at values near zero.
      if (!(Math.abs(correction) <= 1e-9 * shift) || Math.abs(correction) <= 8 * Number.EPSILON * shift) break;
      shift += correction;
    }
    normalizeVector(right);
    for (let i = 0; i < n; i++)
      left[i] = diagonal[i]! * right[i]! + (i + 1 < n ? superdiagonal[i]! * right[i + 1]! : 0);
    normalizeVector(left);
  }

  /**
   * Factors B^T B - shift as L+ D+ L+^T from the top and as U- D- U-^T from the bottom; returns the best row to join
   * them.
   */
  private factor(d: Float64Array, e: Float64Array, scale: number, shift: number): { twist: number; gamma: number } {
    const { upper, lower, below, above } = this;
    const n = d.length;
    const factor = scale * scale;
    let s = -shift;
    for (let i = 0; i < n; i++) {
      below[i] = s;
      if (i === n - 1) break;
      const square = d[i]! * d[i]! * factor;
      const pivot = square + s || TINY;
      const ratio = e[i]! / d[i]!;
      upper[i] = (square * ratio) / pivot;
      s = upper[i]! * ratio * s - shift;
    }
    let p = d[n - 1]! * d[n - 1]! * factor - shift;
    above[n - 1] = p;
    for (let i = n - 2; i >= 0; i--) {
      const pivot = e[i]! * e[i]! * factor + p || TINY;
      const square = d[i]! * d[i]! * factor;
      const t = square / pivot;
      lower[i] = (e[i]! / d[i]!) * t;
      p = p * t - shift;
      above[i] = p;
    }
    let twist = 0;
    let gamma = Number.POSITIVE_INFINITY;
    for (let i = 0; i < n; i++) {
      const candidate = below[i]! + above[i]! + shift;
      if (Math.abs(candidate) < Math.abs(gamma)) [twist, gamma] = [i, candidate];
    }
    return { twist, gamma };
  }

  /** Solves for the vector that is 1 at the twist; returns its squared norm. */
  private twisted(z: Float64Array, twist: number, n: number): number {
    z[twist] = 1;
    let squares = 1;
    for (let i = twist - 1; i >= 0; i--) {
      const x = -this.upper[i]! * z[i + 1]!;
      z[i] = x;
      squares += x * x;
    }
    for (let i = twist; i < n - 1; i++) {
      const x = -this.lower[i]! * z[i]!;
      z[i + 1] = x;
      squares += x * x;
    }
    return squares;
  }
}

function normalizeVector(x: Float64Array): void {
  let squares = 0;
  for (const y of x) squares += y * y;
  const factor = squares > 0 ? 1 / Math.sqrt(squares) : 0;
  for (let i = 0; i < x.length; i++) x[i]! *= factor;
}
