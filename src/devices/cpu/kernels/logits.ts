// Rows of logits: the largest, the sum of the exponentials, and weighted differences of two rows.
import { exponential } from './functions';

/** Numbers of a summary, in f64: `SUMMARY` of rowSummaries.ts. */
const SUMMARY_BYTES = 40;

/**
 * Summarizes `rows` rows of `cols` logits x: largest (NaN if an entry is not finite), its first column, the sum of
 * e^(x - largest), x at the row's target column (0 for a target of -1), and with a reference r, which has the row of the
 * same number, the sum of e^(r - largest r) (r - x). Exponentials are in f32, as logits are, and all sums in f64.
 */
export function summarizeRows(rows: i32, cols: i32, x: usize, reference: usize, targets: usize, out: usize): void {
  for (let row = 0; row < rows; row++) {
    const from = x + ((<usize>row * cols) << 2);
    const to = out + <usize>row * SUMMARY_BYTES;
    const target = load<i32>(targets + ((<usize>row) << 2));
    const largest = largestFinite(cols, from);
    store<f64>(to, largest);
    store<f64>(to, largest > -Infinity ? placeOf(largest, cols, from) : 0, 8);
    store<f64>(to, sumOfExponentials(cols, largest, from), 16);
    store<f64>(to, target < 0 ? 0 : load<f32>(from + ((<usize>target) << 2)), 24);
    store<f64>(to, reference ? weightedDifference(cols, reference + ((<usize>row * cols) << 2), from) : 0, 32);
  }
}

/** The largest entry, or NaN. */
function largestFinite(count: i32, x: usize): f32 {
  const zero = f32x4.splat(0);
  let best = f32x4.splat(-Infinity);
  // Zero times an entry that is not finite is NaN, and so is every sum with it.
  let check = zero;
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const value = v128.load(x + ((<usize>i) << 2));
    best = f32x4.pmax(best, value);
    check = f32x4.add(check, f32x4.mul(zero, value));
  }
  let most = max(
    max(f32x4.extract_lane(best, 0), f32x4.extract_lane(best, 1)),
    max(f32x4.extract_lane(best, 2), f32x4.extract_lane(best, 3)),
  );
  let rest =
    f32x4.extract_lane(check, 0) +
    f32x4.extract_lane(check, 1) +
    f32x4.extract_lane(check, 2) +
    f32x4.extract_lane(check, 3);
  for (; i < count; i++) {
    const value = load<f32>(x + ((<usize>i) << 2));
    most = max(most, value);
    rest += 0 * value;
  }
  return most + rest;
}

/** The first place of a value that is there. */
function placeOf(value: f32, count: i32, x: usize): i32 {
  const wanted = f32x4.splat(value);
  let i = 0;
  while (i + 4 <= count && !v128.any_true(f32x4.eq(wanted, v128.load(x + ((<usize>i) << 2))))) i += 4;
  while (load<f32>(x + ((<usize>i) << 2)) != value) i++;
  return i;
}

function sumOfExponentials(count: i32, largest: f32, x: usize): f64 {
  const shift = f32x4.splat(largest);
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const weights = exponential(f32x4.sub(v128.load(x + ((<usize>i) << 2)), shift));
    low = f64x2.add(low, f64x2.promote_low_f32x4(weights));
    high = f64x2.add(high, f64x2.promote_low_f32x4(upper(weights)));
  }
  const sums = f64x2.add(low, high);
  let total = f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1);
  for (; i < count; i++) total += firstExponential(load<f32>(x + ((<usize>i) << 2)) - largest);
  return total;
}

/** The sum of e^(r - largest r) (r - x). */
function weightedDifference(count: i32, r: usize, x: usize): f64 {
  const largest = largestFinite(count, r);
  const shift = f32x4.splat(largest);
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const at = (<usize>i) << 2;
    const own = v128.load(r + at);
    const weights = exponential(f32x4.sub(own, shift));
    const differences = f32x4.sub(own, v128.load(x + at));
    low = f64x2.add(low, f64x2.mul(f64x2.promote_low_f32x4(weights), f64x2.promote_low_f32x4(differences)));
    const product = f64x2.mul(f64x2.promote_low_f32x4(upper(weights)), f64x2.promote_low_f32x4(upper(differences)));
    high = f64x2.add(high, product);
  }
  const sums = f64x2.add(low, high);
  let total = f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1);
  for (; i < count; i++) {
    const own = load<f32>(r + ((<usize>i) << 2));
    const difference = own - load<f32>(x + ((<usize>i) << 2));
    total += <f64>firstExponential(own - largest) * <f64>difference;
  }
  return total;
}

function firstExponential(x: f32): f32 {
  return f32x4.extract_lane(exponential(f32x4.splat(x)), 0);
}

/** The upper two lanes. */
function upper(lanes: v128): v128 {
  return i8x16.shuffle(lanes, lanes, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15);
}
