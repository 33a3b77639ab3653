// The softmax of attention over blocks of keys, which never needs all scores of a query at once (Milakov and
// Gimelshein, "Online normalizer calculation for softmax", arXiv 1805.02867; Dao et al., arXiv 2205.14135). A query
// keeps its largest score so far and the sum of e^(score - largest), in two f64.
import { exponential } from './functions';
import { sum } from './vectors';

/** Prepares `count` queries that have seen no key. */
export function startQueries(count: i32, states: usize): void {
  for (let i = 0; i < count; i++) {
    store<f64>(states + ((<usize>i) << 4), -Infinity);
    store<f64>(states + ((<usize>i) << 4), 0, 8);
  }
}

/**
 * Turns a block of scores (count x keys) into weights e^(score - largest), zero for keys that a query does not see, and
 * rescales the queries' outputs so far (count x size) to the new largest scores. `queries` rows belong to each head.
 * @param ahead position of the first query less that of the block's first key
 * @param window number of positions that a query sees, its own included
 */
export function weighScores(
  count: i32,
  queries: i32,
  keys: i32,
  size: i32,
  ahead: i32,
  window: i32,
  scores: usize,
  states: usize,
  outputs: usize,
): void {
  for (let i = 0; i < count; i++) {
    const own = ahead + (i % queries);
    // A window may be the largest i32, so that own - window + 1 is far below zero, not beyond the other end.
    const from = min(keys, max(0, own - window + 1));
    const to = max(from, min(keys, own + 1));
    const row = scores + ((<usize>i * keys) << 2);
    const state = states + ((<usize>i) << 4);
    memory.fill(row, 0, (<usize>from) << 2);
    memory.fill(row + ((<usize>to) << 2), 0, (<usize>(keys - to)) << 2);
    if (from == to) continue;
    const before = load<f64>(state);
    const largest = max(<f32>before, largestOf(from, to, row));
    const total = exponentials(from, to, row, largest);
    const kept = before == -Infinity ? 0.0 : <f64>firstExponential(<f32>(before - largest));
    store<f64>(state, largest);
    store<f64>(state, load<f64>(state, 8) * kept + total, 8);
    if (kept != 1) scaleBy(size, <f32>kept, outputs + ((<usize>i * size) << 2));
  }
}

/** Writes the outputs of the queries of one head, each divided by its sum, to rows of `ldOut` entries. */
export function finishQueries(count: i32, size: i32, states: usize, outputs: usize, out: usize, ldOut: i32): void {
  for (let i = 0; i < count; i++) {
    const from = outputs + ((<usize>i * size) << 2);
    scaleBy(size, <f32>(1 / load<f64>(states + ((<usize>i) << 4), 8)), from);
    memory.copy(out + ((<usize>i * ldOut) << 2), from, (<usize>size) << 2);
  }
}

function largestOf(from: i32, to: i32, row: usize): f32 {
  let best = f32x4.splat(-Infinity);
  let other = best;
  let i = from;
  // In contrast to max, pmax is one instruction. It passes over NaN, which returns in the sum of the exponentials.
  for (; i + 8 <= to; i += 8) {
    const at = row + ((<usize>i) << 2);
    best = f32x4.pmax(best, v128.load(at));
    other = f32x4.pmax(other, v128.load(at, 16));
  }
  best = f32x4.pmax(best, other);
  let value = max(
    max(f32x4.extract_lane(best, 0), f32x4.extract_lane(best, 1)),
    max(f32x4.extract_lane(best, 2), f32x4.extract_lane(best, 3)),
  );
  for (; i < to; i++) value = max(value, load<f32>(row + ((<usize>i) << 2)));
  return value;
}

/** Replaces entries by e^(entry - largest) and returns their sum. */
function exponentials(from: i32, to: i32, row: usize, largest: f32): f64 {
  const most = f32x4.splat(largest);
  let total = f32x4.splat(0);
  let other = total;
  let i = from;
  for (; i + 16 <= to; i += 16) {
    const at = row + ((<usize>i) << 2);
    const first = exponential(f32x4.sub(v128.load(at), most));
    const second = exponential(f32x4.sub(v128.load(at, 16), most));
    const third = exponential(f32x4.sub(v128.load(at, 32), most));
    const fourth = exponential(f32x4.sub(v128.load(at, 48), most));
    v128.store(at, first);
    v128.store(at, second, 16);
    v128.store(at, third, 32);
    v128.store(at, fourth, 48);
    total = f32x4.add(total, f32x4.add(first, third));
    other = f32x4.add(other, f32x4.add(second, fourth));
  }
  let rest = <f64>sum(f32x4.add(total, other));
  for (; i < to; i++) {
    const at = row + ((<usize>i) << 2);
    const value = firstExponential(load<f32>(at) - largest);
    store<f32>(at, value);
    rest += value;
  }
  return rest;
}

function firstExponential(x: f32): f32 {
  return f32x4.extract_lane(exponential(f32x4.splat(x)), 0);
}

function scaleBy(count: i32, factor: f32, x: usize): void {
  const f = f32x4.splat(factor);
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const at = x + ((<usize>i) << 2);
    v128.store(at, f32x4.mul(f, v128.load(at)));
  }
  for (; i < count; i++) {
    const at = x + ((<usize>i) << 2);
    store<f32>(at, factor * load<f32>(at));
  }
}
