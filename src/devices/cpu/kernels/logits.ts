// Rows of logits: where the largest is, the sum of the exponentials, and weighted differences of two rows.
import { fma } from './vectors';

/** exp of numbers in [-87, 0], in f32 to about one unit in the last place (Cephes, expf); those below count as -87. */
function exp(x: v128): v128 {
  const z = f32x4.max(x, f32x4.splat(-87));
  const n = f32x4.nearest(f32x4.mul(z, f32x4.splat(<f32>Math.LOG2E)));
  // ln 2 in two parts, of which the first has few bits: its products with n are exact.
  const r = fma(n, f32x4.splat(2.1219444e-4), fma(n, f32x4.splat(-0.693359375), z));
  let p = f32x4.splat(1.98756915e-4);
  p = fma(p, r, f32x4.splat(1.3981999507e-3));
  p = fma(p, r, f32x4.splat(8.3334519073e-3));
  p = fma(p, r, f32x4.splat(4.1665795894e-2));
  p = fma(p, r, f32x4.splat(1.6666665459e-1));
  p = fma(p, r, f32x4.splat(5.0000001201e-1));
  const y = f32x4.add(fma(p, f32x4.mul(r, r), r), f32x4.splat(1));
  const scale = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23);
  return f32x4.mul(y, scale);
}

/** Adds the four lanes to the two sums in f64. */
function added(sum: v128, lanes: v128): v128 {
  const high = i8x16.shuffle(lanes, lanes, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15);
  return f64x2.add(sum, f64x2.add(f64x2.promote_low_f32x4(lanes), f64x2.promote_low_f32x4(high)));
}

/** The first place of the largest of `count` finite numbers. */
export function largestAt(count: i32, source: usize): i32 {
  let most = load<f32>(source);
  let i = 0;
  let lanes = f32x4.splat(most);
  for (; i + 4 <= count; i += 4) lanes = f32x4.pmax(lanes, v128.load(source + ((<usize>i) << 2)));
  most = max(
    max(f32x4.extract_lane(lanes, 0), f32x4.extract_lane(lanes, 1)),
    max(f32x4.extract_lane(lanes, 2), f32x4.extract_lane(lanes, 3)),
  );
  for (; i < count; i++) most = max(most, load<f32>(source + ((<usize>i) << 2)));
  const wanted = f32x4.splat(most);
  i = 0;
  while (i + 4 <= count && !v128.any_true(f32x4.eq(wanted, v128.load(source + ((<usize>i) << 2))))) i += 4;
  while (load<f32>(source + ((<usize>i) << 2)) != most) i++;
  return i;
}

/** Writes exp(x - shift) for `count` numbers, and returns their sum. */
export function exponentials(count: i32, shift: f32, source: usize, out: usize): f64 {
  const less = f32x4.splat(shift);
  let sums = f64x2.splat(0);
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const at = (<usize>i) << 2;
    const e = exp(f32x4.sub(v128.load(source + at), less));
    v128.store(out + at, e);
    sums = added(sums, e);
  }
  let total = f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1);
  for (; i < count; i++) {
    const at = (<usize>i) << 2;
    const e = f32x4.extract_lane(exp(f32x4.splat(load<f32>(source + at) - shift)), 0);
    store<f32>(out + at, e);
    total += e;
  }
  return total;
}

/** The sum of w (x - y) over `count` numbers, in f64. */
export function weightedDifference(count: i32, w: usize, x: usize, y: usize): f64 {
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const at = (<usize>i) << 2;
    const weights = v128.load(w + at);
    const differences = f32x4.sub(v128.load(x + at), v128.load(y + at));
    low = f64x2.add(low, f64x2.mul(f64x2.promote_low_f32x4(weights), f64x2.promote_low_f32x4(differences)));
    const upperWeights = i8x16.shuffle(weights, weights, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15);
    const upper = i8x16.shuffle(differences, differences, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15);
    high = f64x2.add(high, f64x2.mul(f64x2.promote_low_f32x4(upperWeights), f64x2.promote_low_f32x4(upper)));
  }
  const sums = f64x2.add(low, high);
  let total = f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1);
  for (; i < count; i++) {
    const at = (<usize>i) << 2;
    total += <f64>load<f32>(w + at) * <f64>(load<f32>(x + at) - load<f32>(y + at));
  }
  return total;
}
