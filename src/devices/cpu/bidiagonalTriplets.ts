// The values of an upper bidiagonal B in f64, from which `kernels/bidiagonalVectors.ts` computes vectors by twisted
// factorizations.
//
// The values come from dqds with high relative accuracy and the factorizations from differential qd transforms, so the
// error of a vector is about eps / (relative gap): good enough for f32 down to gaps of 1e-9. Values that are closer
// only because of a symmetry are separated by perturbing B by a relative 2^-30, far below its own rounding in f32.
import { dqdsValues } from './dqds.ts';

const NEGLIGIBLE = 2 ** -50;
const PERTURBATION = 2 ** -30;

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

/** The `rank` largest values, descending, of B as perturbed here, each with its block. */
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
