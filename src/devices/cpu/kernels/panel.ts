// Householder QR of one panel, held transposed: `count` vectors (the panel's columns), each contiguous with `length` entries.
//
// Vector r ends with R(0..r, r) in its first r + 1 places and the tail of reflector v_r behind them (v_r is 1 at place r);
// H_r = I - tau_r v_r v_r^T, LAPACK's convention. All threads work on it, each on its slice of the places, meeting once a column: one
// sweep updates a vector by reflector j and takes its product with the next column, so the panel is read once a column, not twice.
import { fma, sum } from './fma';
import { barrier } from './sync';

/** Below this, a squared norm of a matrix scaled to entries of at most 1 is nothing but underflow. */
const NOTHING: f64 = 1e-36;

// @ts-ignore: decorator
@inline
function dot(from: i32, to: i32, x: usize, y: usize): f64 {
  let total: f64 = 0;
  let i = from;
  // Runs of 512 in single precision, their sums in double: the error does not grow with the height of the panel.
  while (i + 16 <= to) {
    const end = min(to - 15, i + 512);
    let s0 = f32x4.splat(0), s1 = f32x4.splat(0), s2 = f32x4.splat(0), s3 = f32x4.splat(0);
    for (; i < end; i += 16) {
      const p = x + (<usize>i << 2), q = y + (<usize>i << 2);
      s0 = fma(v128.load(p), v128.load(q), s0);
      s1 = fma(v128.load(p, 16), v128.load(q, 16), s1);
      s2 = fma(v128.load(p, 32), v128.load(q, 32), s2);
      s3 = fma(v128.load(p, 48), v128.load(q, 48), s3);
    }
    total += sum(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
  }
  let rest: f32 = 0;
  for (; i < to; i++) rest += load<f32>(x + (<usize>i << 2)) * load<f32>(y + (<usize>i << 2));
  return total + rest;
}

// @ts-ignore: decorator
@inline
function subtract(from: i32, to: i32, w: f32, v: usize, y: usize): void {
  const f = f32x4.splat(-w);
  let i = from;
  for (; i + 8 <= to; i += 8) {
    const p = v + (<usize>i << 2), q = y + (<usize>i << 2);
    const y0 = fma(f, v128.load(p), v128.load(q));
    const y1 = fma(f, v128.load(p, 16), v128.load(q, 16));
    v128.store(q, y0);
    v128.store(q, y1, 16);
  }
  for (; i < to; i++) {
    const q = y + (<usize>i << 2);
    store<f32>(q, load<f32>(q) - w * load<f32>(v + (<usize>i << 2)));
  }
}

/** y -= w v on [from, to), and the product of the new y with x there. */
// @ts-ignore: decorator
@inline
function subtractAndDot(from: i32, to: i32, w: f32, v: usize, y: usize, x: usize): f64 {
  const f = f32x4.splat(-w);
  let total: f64 = 0;
  let i = from;
  while (i + 8 <= to) {
    const end = min(to - 7, i + 512);
    let s0 = f32x4.splat(0), s1 = f32x4.splat(0);
    for (; i < end; i += 8) {
      const p = v + (<usize>i << 2), q = y + (<usize>i << 2), r = x + (<usize>i << 2);
      const y0 = fma(f, v128.load(p), v128.load(q));
      const y1 = fma(f, v128.load(p, 16), v128.load(q, 16));
      s0 = fma(y0, v128.load(r), s0);
      s1 = fma(y1, v128.load(r, 16), s1);
      v128.store(q, y0);
      v128.store(q, y1, 16);
    }
    total += sum(f32x4.add(s0, s1));
  }
  let rest: f32 = 0;
  for (; i < to; i++) {
    const q = y + (<usize>i << 2);
    const value = load<f32>(q) - w * load<f32>(v + (<usize>i << 2));
    store<f32>(q, value);
    rest += value * load<f32>(x + (<usize>i << 2));
  }
  return total + rest;
}

/**
 * @param shared (2 * threads + 2) * count f64 numbers: two alternating boards, each `threads` rows of partial products and one row of
 *   the pivot row's entries
 * @param tau count f32 numbers
 */
export function reflectPanel(
  panel: usize, ld: i32, count: i32, length: i32, tau: usize, shared: usize, sync: usize, id: i32, threads: i32,
): void {
  // Slices of whole cache lines; a short panel is left to one thread, for whom a meeting would cost more than the work.
  const workers = length < 768 ? 1 : threads;
  if (id >= workers) {
    barrier(sync, threads);
    return;
  }
  const each = ((length + workers - 1) / workers + 15) & ~15;
  const begin = min(length, id * each);
  const end = min(length, begin + each);
  const step = <usize>ld << 2;
  const board = <usize>((workers + 1) * count) << 3;

  let mine = shared + ((<usize>id * count) << 3);
  let pivots = shared + ((<usize>workers * count) << 3);
  for (let k = 0; k < count; k++) {
    store<f64>(mine + (<usize>k << 3), dot(max(begin, 1), end, panel, panel + <usize>k * step));
    if (begin == 0) store<f64>(pivots + (<usize>k << 3), load<f32>(panel + <usize>k * step));
  }
  const last = min(count, length);
  for (let j = 0; j < last; j++) {
    if (workers > 1) barrier(sync, threads);
    const here = shared + <usize>(j & 1) * board;
    const next = shared + <usize>((j + 1) & 1) * board;
    pivots = here + ((<usize>workers * count) << 3);
    const alpha = load<f64>(pivots + (<usize>j << 3));
    const squares = total(here, j, count, workers);
    const v = panel + <usize>j * step;
    const from = max(begin, j + 1);
    const owner = begin <= j && j < end;
    let scale: f64 = 0, t: f64 = 0, diagonal = alpha;
    if (squares > NOTHING) {
      const norm = Math.sqrt(alpha * alpha + squares);
      diagonal = alpha > 0 ? -norm : norm;
      t = (diagonal - alpha) / diagonal;
      scale = 1 / (alpha - diagonal);
    }
    multiply(from, end, <f32>scale, v);
    if (owner) {
      store<f32>(v + (<usize>j << 2), <f32>diagonal);
      store<f32>(tau + (<usize>j << 2), <f32>t);
    }
    const following = panel + <usize>(j + 1) * step;
    const ownsNext = begin <= j + 1 && j + 1 < end;
    mine = next + ((<usize>id * count) << 3);
    for (let k = j + 1; k < count; k++) {
      const y = panel + <usize>k * step;
      const w = t * (load<f64>(pivots + (<usize>k << 3)) + scale * total(here, k, count, workers));
      if (owner) store<f32>(y + (<usize>j << 2), <f32>(load<f64>(pivots + (<usize>k << 3)) - w));
      if (k == j + 1) {
        subtract(from, end, <f32>w, v, y);
        store<f64>(mine + (<usize>k << 3), dot(max(begin, j + 2), end, y, y));
      } else {
        // Place j + 1 is the next pivot row: updated here, but no part of the next product.
        if (ownsNext) {
          const p = y + (<usize>(j + 1) << 2);
          store<f32>(p, load<f32>(p) - <f32>w * load<f32>(v + (<usize>(j + 1) << 2)));
        }
        store<f64>(mine + (<usize>k << 3), subtractAndDot(max(begin, j + 2), end, <f32>w, v, y, following));
      }
      if (ownsNext) {
        store<f64>(next + ((<usize>(workers * count + k)) << 3), load<f32>(y + (<usize>(j + 1) << 2)));
      }
    }
  }
  if (owns(begin, end, 0)) for (let j = last; j < count; j++) store<f32>(tau + (<usize>j << 2), 0);
  barrier(sync, threads);
}

// @ts-ignore: decorator
@inline
function owns(begin: i32, end: i32, place: i32): bool {
  return begin <= place && place < max(end, 1);
}

// @ts-ignore: decorator
@inline
function total(board: usize, k: i32, count: i32, workers: i32): f64 {
  let result: f64 = 0;
  for (let w = 0; w < workers; w++) result += load<f64>(board + ((<usize>(w * count + k)) << 3));
  return result;
}

// @ts-ignore: decorator
@inline
function multiply(from: i32, to: i32, factor: f32, v: usize): void {
  const f = f32x4.splat(factor);
  let i = from;
  for (; i + 4 <= to; i += 4) {
    const p = v + (<usize>i << 2);
    v128.store(p, f32x4.mul(f, v128.load(p)));
  }
  for (; i < to; i++) {
    const p = v + (<usize>i << 2);
    store<f32>(p, factor * load<f32>(p));
  }
}

/** Turns a panel's vectors into plain reflectors: zeros before place r, 1 at it. Vectors beyond `length` become zero. */
export function cleanReflectors(panel: usize, ld: i32, count: i32, length: i32): void {
  for (let r = 0; r < count; r++) {
    const v = panel + ((<usize>r * ld) << 2);
    memory.fill(v, 0, <usize>min(r, length) << 2);
    if (r < length) store<f32>(v + (<usize>r << 2), 1);
  }
}

/** T (count x count, upper triangular) with H_0 H_1 ... = I - V T V^T, from the products G = V^T V (LAPACK's larft). */
export function formT(count: i32, gram: usize, tau: usize, t: usize): void {
  for (let j = 0; j < count; j++) {
    const tj = load<f32>(tau + (<usize>j << 2));
    for (let i = 0; i < j; i++) {
      let s: f64 = 0;
      for (let k = i; k < j; k++) {
        s += <f64>load<f32>(t + ((<usize>(i * count + k)) << 2)) * load<f32>(gram + ((<usize>(k * count + j)) << 2));
      }
      store<f32>(t + ((<usize>(i * count + j)) << 2), <f32>(-tj * s));
    }
    store<f32>(t + ((<usize>(j * count + j)) << 2), tj);
    for (let i = j + 1; i < count; i++) store<f32>(t + ((<usize>(i * count + j)) << 2), 0);
  }
}
