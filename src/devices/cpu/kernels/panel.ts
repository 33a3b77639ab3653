// Householder QR of one panel, stored transposed: its columns are `count` contiguous vectors of `length` entries.
//
// In the end, vector r holds R(0..r, r) in its first r + 1 places and then the tail of reflector v_r, which is 1 at
// place r; H_r = I - tau_r v_r v_r^T, as in LAPACK. Each thread works on a slice of the places, and all meet once per
// column. One sweep applies reflector j to a vector and takes its inner product with the next column, so the panel is
// read once per column, not twice.
import { barrier } from './sync';
import { dot, multiply, subtract, subtractAndDot } from './vectors';

/** A smaller squared norm, in a matrix scaled to entries of at most 1, is mere underflow. */
const NOTHING: f64 = 1e-36;

/**
 * @param shared (2 * threads + 2) * count f64: two boards used alternately, each with one row of partial products per
 *   thread and one row for the entries of the pivot row
 * @param tau count f32
 */
export function reflectPanel(
  panel: usize,
  ld: i32,
  count: i32,
  length: i32,
  tau: usize,
  shared: usize,
  sync: usize,
  id: i32,
  threads: i32,
): void {
  // Slices are whole cache lines. A short panel is left to one thread: barriers would cost more than the work.
  const workers = length < 768 ? 1 : threads;
  if (id >= workers) {
    barrier(sync, threads);
    return;
  }
  const each = ((length + workers - 1) / workers + 15) & ~15;
  const begin = min(length, id * each);
  const end = min(length, begin + each);
  const step = (<usize>ld) << 2;
  const board = (<usize>((workers + 1) * count)) << 3;

  let mine = shared + ((<usize>id * count) << 3);
  let pivots = shared + ((<usize>workers * count) << 3);
  for (let k = 0; k < count; k++) {
    store<f64>(mine + ((<usize>k) << 3), dot(max(begin, 1), end, panel, panel + <usize>k * step));
    if (begin == 0) store<f64>(pivots + ((<usize>k) << 3), load<f32>(panel + <usize>k * step));
  }
  const last = min(count, length);
  for (let j = 0; j < last; j++) {
    if (workers > 1) barrier(sync, threads);
    const here = shared + <usize>(j & 1) * board;
    const next = shared + <usize>((j + 1) & 1) * board;
    pivots = here + ((<usize>workers * count) << 3);
    const alpha = load<f64>(pivots + ((<usize>j) << 3));
    const squares = total(here, j, count, workers);
    const v = panel + <usize>j * step;
    const from = max(begin, j + 1);
    const owner = begin <= j && j < end;
    let scale: f64 = 0,
      t: f64 = 0,
      diagonal = alpha;
    if (squares > NOTHING) {
      const norm = Math.sqrt(alpha * alpha + squares);
      diagonal = alpha > 0 ? -norm : norm;
      t = (diagonal - alpha) / diagonal;
      scale = 1 / (alpha - diagonal);
    }
    multiply(from, end, <f32>scale, v);
    if (owner) {
      store<f32>(v + ((<usize>j) << 2), <f32>diagonal);
      store<f32>(tau + ((<usize>j) << 2), <f32>t);
    }
    const following = panel + <usize>(j + 1) * step;
    const ownsNext = begin <= j + 1 && j + 1 < end;
    mine = next + ((<usize>id * count) << 3);
    for (let k = j + 1; k < count; k++) {
      const y = panel + <usize>k * step;
      const w = t * (load<f64>(pivots + ((<usize>k) << 3)) + scale * total(here, k, count, workers));
      if (owner) store<f32>(y + ((<usize>j) << 2), <f32>(load<f64>(pivots + ((<usize>k) << 3)) - w));
      if (k == j + 1) {
        subtract(from, end, <f32>w, v, y);
        store<f64>(mine + ((<usize>k) << 3), dot(max(begin, j + 2), end, y, y));
      } else {
        // Place j + 1 belongs to the next pivot row: it is updated here, but takes no part in the next product.
        if (ownsNext) {
          const p = y + ((<usize>(j + 1)) << 2);
          store<f32>(p, load<f32>(p) - <f32>w * load<f32>(v + ((<usize>(j + 1)) << 2)));
        }
        store<f64>(mine + ((<usize>k) << 3), subtractAndDot(max(begin, j + 2), end, <f32>w, v, y, following));
      }
      if (ownsNext) {
        store<f64>(next + ((<usize>(workers * count + k)) << 3), load<f32>(y + ((<usize>(j + 1)) << 2)));
      }
    }
  }
  // Thread 0 owns place 0, even of an empty panel.
  if (id == 0) for (let j = last; j < count; j++) store<f32>(tau + ((<usize>j) << 2), 0);
  barrier(sync, threads);
}

/** The sum of column k of a board over all threads. */
function total(board: usize, k: i32, count: i32, workers: i32): f64 {
  let result: f64 = 0;
  for (let w = 0; w < workers; w++) result += load<f64>(board + ((<usize>(w * count + k)) << 3));
  return result;
}

/**
 * Turns the vectors of a panel into plain reflectors: zero before place r and 1 at it. Vectors from `length` on become
 * zero.
 */
export function cleanReflectors(panel: usize, ld: i32, count: i32, length: i32): void {
  for (let r = 0; r < count; r++) {
    const v = panel + ((<usize>r * ld) << 2);
    memory.fill(v, 0, (<usize>min(r, length)) << 2);
    if (r < length) store<f32>(v + ((<usize>r) << 2), 1);
  }
}

/**
 * T (count x count, upper triangular, rows `ld` apart) with H_0 H_1 ... = I - V T V^T, from `gram` = V^T V (larft of
 * LAPACK).
 */
export function formT(count: i32, gram: usize, tau: usize, t: usize, ld: i32): void {
  for (let j = 0; j < count; j++) {
    const tj = load<f32>(tau + ((<usize>j) << 2));
    for (let i = 0; i < j; i++) {
      let s: f64 = 0;
      for (let k = i; k < j; k++) {
        s += <f64>load<f32>(t + ((<usize>(i * ld + k)) << 2)) * load<f32>(gram + ((<usize>(k * count + j)) << 2));
      }
      store<f32>(t + ((<usize>(i * ld + j)) << 2), <f32>(-tj * s));
    }
    store<f32>(t + ((<usize>(j * ld + j)) << 2), tj);
    for (let i = j + 1; i < count; i++) store<f32>(t + ((<usize>(i * ld + j)) << 2), 0);
  }
}
