// Singular vectors of an unreduced upper bidiagonal matrix in f64, two at a time, by twisted factorizations of
// B^T B - lambda (Dhillon and Parlett 2004).
//
// The factorizations from the top and from the bottom are recurrences with a division in each step. Running both in one
// loop, each for two values, keeps four divisions in flight.

/** Replaces a pivot of zero. */
const TINY: f64 = 3.0549363634996047e-151; // 2^-500
/** Smaller entries become zero: f32 subnormals multiply some ten times slower. */
const NEGLIGIBLE: f64 = 8.673617379884035e-19; // 2^-60
const ROUNDS: i32 = 3;

function nonzero(pivot: v128): v128 {
  return v128.bitselect(f64x2.splat(TINY), pivot, f64x2.eq(pivot, f64x2.splat(0)));
}

/**
 * Unit vectors of two singular values of a block of n rows.
 * @param d its diagonal, `e` its superdiagonal, and `ratios` e[i] / d[i]: n f64 each
 * @param work 72 n bytes
 * @param right n f32 of the first value; those of the second follow `next` bytes further; `left` likewise
 */
export function bidiagonalPair(
  n: i32,
  d: usize,
  e: usize,
  ratios: usize,
  value0: f64,
  value1: f64,
  work: usize,
  right: usize,
  left: usize,
  next: usize,
): void {
  const lanes = (<usize>n) << 4;
  const lower = work + lanes;
  const below = lower + lanes;
  const above = below + lanes;
  const z = above + lanes;
  // Scaled by the value, so that the shift is about 1. A value of zero stays as it is.
  const scale0: f64 = value0 > 0 ? 1 / value0 : 1;
  const scale1: f64 = value1 > 0 ? 1 / value1 : 1;
  const factor = f64x2.replace_lane(f64x2.splat(scale0 * scale0), 1, scale1 * scale1);
  let shift0: f64 = value0 * scale0 * (value0 * scale0);
  let shift1: f64 = value1 * scale1 * (value1 * scale1);
  let done0 = false;
  let done1 = false;
  for (let round = 0; round < ROUNDS && !(done0 && done1); round++) {
    const shift = f64x2.replace_lane(f64x2.splat(shift0), 1, shift1);
    factorBlock(n, d, e, ratios, factor, shift, work);
    let twist = f64x2.splat(0);
    let gamma = f64x2.splat(Infinity);
    for (let i: usize = 0; i < lanes; i += 16) {
      const candidate = f64x2.add(f64x2.add(v128.load(below + i), v128.load(above + i)), shift);
      const better = f64x2.lt(f64x2.abs(candidate), f64x2.abs(gamma));
      gamma = v128.bitselect(candidate, gamma, better);
      twist = v128.bitselect(f64x2.splat(<f64>i), twist, better);
    }
    if (!done0) {
      const squares = twisted(lanes, work, z, <usize>f64x2.extract_lane(twist, 0));
      const correction = f64x2.extract_lane(gamma, 0) / squares;
      done0 = settled(correction, shift0) || round == ROUNDS - 1;
      if (done0) writeVectors(n, d, e, z, squares, right, left);
      else shift0 += correction;
    }
    if (!done1) {
      const squares = twisted(lanes, work + 8, z, <usize>f64x2.extract_lane(twist, 1));
      const correction = f64x2.extract_lane(gamma, 1) / squares;
      done1 = settled(correction, shift1) || round == ROUNDS - 1;
      if (done1) writeVectors(n, d, e, z, squares, right + next, left + next);
      else shift1 += correction;
    }
  }
}

/** A large correction would lead to another value; it arises only from cancellation at values near zero. */
function settled(correction: f64, shift: f64): bool {
  return !(abs(correction) <= 1e-9 * shift) || abs(correction) <= 8 * f64.EPSILON * shift;
}

/** Factors B^T B - shift as L+ D+ L+^T from the top and as U- D- U-^T from the bottom, in differential form. */
function factorBlock(n: i32, d: usize, e: usize, ratios: usize, factor: v128, shift: v128, upper: usize): void {
  const lanes = (<usize>n) << 4;
  const lower = upper + lanes;
  const below = lower + lanes;
  const above = below + lanes;
  const one = f64x2.splat(1);
  let s = f64x2.neg(shift);
  let q = v128.load64_splat(d + ((<usize>(n - 1)) << 3));
  let p = f64x2.sub(f64x2.mul(f64x2.mul(q, q), factor), shift);
  v128.store(above + lanes - 16, p);
  for (let i = 0, j = n - 2; j >= 0; i++, j--) {
    const down = (<usize>i) << 3;
    v128.store(below + (down << 1), s);
    let x = v128.load64_splat(d + down);
    let ratio = v128.load64_splat(ratios + down);
    let square = f64x2.mul(f64x2.mul(x, x), factor);
    let inverse = f64x2.div(one, nonzero(f64x2.add(square, s)));
    const cross = f64x2.mul(square, ratio);
    v128.store(upper + (down << 1), f64x2.mul(cross, inverse));
    s = f64x2.sub(f64x2.mul(f64x2.mul(f64x2.mul(cross, ratio), s), inverse), shift);

    const up = (<usize>j) << 3;
    x = v128.load64_splat(e + up);
    q = v128.load64_splat(d + up);
    ratio = v128.load64_splat(ratios + up);
    inverse = f64x2.div(one, nonzero(f64x2.add(f64x2.mul(f64x2.mul(x, x), factor), p)));
    square = f64x2.mul(f64x2.mul(q, q), factor);
    v128.store(lower + (up << 1), f64x2.mul(f64x2.mul(ratio, square), inverse));
    p = f64x2.sub(f64x2.mul(f64x2.mul(p, square), inverse), shift);
    v128.store(above + (up << 1), p);
  }
  v128.store(below + lanes - 16, s);
}

/** Solves for the vector that is 1 at the twist, 16 bytes per place; returns its squared norm. */
function twisted(lanes: usize, upper: usize, z: usize, twist: usize): f64 {
  const lower = upper + lanes;
  let x: f64 = 1;
  let squares: f64 = 1;
  store<f64>(z + (twist >> 1), x);
  for (let i = twist; i > 0; i -= 16) {
    x *= -load<f64>(upper + i - 16);
    store<f64>(z + ((i - 16) >> 1), x);
    squares += x * x;
  }
  x = 1;
  for (let i = twist; i < lanes - 16; i += 16) {
    x *= -load<f64>(lower + i);
    store<f64>(z + ((i + 16) >> 1), x);
    squares += x * x;
  }
  return squares;
}

/** Writes z, of the given squared norm, as unit vector to `right`, and that of B z to `left`. */
function writeVectors(n: i32, d: usize, e: usize, z: usize, squares: f64, right: usize, left: usize): void {
  const last = n - 1;
  let image: f64 = 0;
  for (let i = 0; i < n; i++) {
    const at = (<usize>i) << 3;
    let y = load<f64>(d + at) * load<f64>(z + at);
    if (i < last) y += load<f64>(e + at) * load<f64>(z + at + 8);
    image += y * y;
  }
  const factor: f64 = 1 / Math.sqrt(squares);
  const leftFactor: f64 = image > 0 ? 1 / Math.sqrt(image) : 0;
  for (let i = 0; i < n; i++) {
    const at = (<usize>i) << 3;
    const x = load<f64>(z + at);
    let y = load<f64>(d + at) * x;
    if (i < last) y += load<f64>(e + at) * load<f64>(z + at + 8);
    store<f32>(right + (at >> 1), normal(x * factor));
    store<f32>(left + (at >> 1), normal(y * leftFactor));
  }
}

function normal(x: f64): f32 {
  return abs(x) < NEGLIGIBLE ? 0 : <f32>x;
}
