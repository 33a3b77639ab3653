// Reduction of a band to bidiagonal form by chasing bulges (Lang 1996; Haidar, Ltaief, Luszczek, Dongarra 2012).
//
// The band of n rows and b superdiagonals is stored by rows: entry (i, j) is at band[i * stride + j - i + b], with
// stride >= 3 b. b rows of zeros follow the last, so that every step has its full size and reflectors are zero past the
// edge.
// Sweep s brings row s to bidiagonal form. With c = s + 1 + t b, its step t
//   1. reflects columns c .. c + b - 1, so that row r (s in the first step, then c - b) keeps only the first of them;
//   2. reflects rows c .. c + b - 1, so that column c keeps only the first of them.
// Only the first row and column of the bulge are cleared; later sweeps clear the rest.
import { askedToStop, losePatience, patienceOf } from './sync';
import { fma } from './vectors';

/** The address of entry (i, j) of the band. */
function at(band: usize, stride: i32, b: i32, i: i32, j: i32): usize {
  return band + ((<usize>i * stride + (j - i + b)) << 2);
}

/** Computes v (b entries, the first 1) and tau that take x to (beta, 0, ...); returns tau and stores beta behind v. */
function reflector(b: i32, x: usize, step: usize, v: usize): f32 {
  const end = v + ((<usize>b) << 2);
  const alpha: f64 = load<f32>(x);
  if (step == 4) memory.copy(v, x, end - v);
  else {
    for (let y = v; y < end; y += 16) {
      store<f32>(y, load<f32>(x));
      store<f32>(y, load<f32>(x + step), 4);
      store<f32>(y, load<f32>(x + 2 * step), 8);
      store<f32>(y, load<f32>(x + 3 * step), 12);
      x += 4 * step;
    }
  }
  store<f32>(v, 0);
  let low = f64x2.splat(0),
    high = low;
  for (let y = v; y < end; y += 16) {
    const p = f64x2.promote_low_f32x4(v128.load64_zero(y));
    const q = f64x2.promote_low_f32x4(v128.load64_zero(y, 8));
    low = f64x2.add(low, f64x2.mul(p, p));
    high = f64x2.add(high, f64x2.mul(q, q));
  }
  low = f64x2.add(low, high);
  const squares = f64x2.extract_lane(low, 0) + f64x2.extract_lane(low, 1);
  if (squares < 1e-60) {
    memory.fill(v, 0, end - v);
    store<f32>(v, 1);
    store<f32>(end, <f32>alpha);
    return 0;
  }
  const norm = Math.sqrt(alpha * alpha + squares);
  const diagonal = alpha > 0 ? -norm : norm;
  const scale = f32x4.splat(<f32>(1 / (alpha - diagonal)));
  for (let y = v; y < end; y += 16) v128.store(y, f32x4.mul(scale, v128.load(y)));
  store<f32>(v, 1);
  store<f32>(end, <f32>diagonal);
  return <f32>((diagonal - alpha) / diagonal);
}

/**
 * x <- x (I - tau v v^T) for `rows` rows of b entries at `x`, four at a time, so that each load of v serves four.
 * @param rows divided by 4, it leaves 0 or 3; in the latter case `spare` stands in for the fourth row
 */
function reflectRows(x: usize, step: usize, rows: i32, b: i32, v: usize, tau: f32, spare: usize): void {
  const bytes = (<usize>b) << 2;
  const zero = f32x4.splat(0);
  const factor = f32x4.splat(-tau);
  const end = v + bytes;
  for (let i = 0; i < rows; i += 4) {
    let x0 = x,
      x1 = x0 + step,
      x2 = x1 + step,
      x3 = i + 3 < rows ? x2 + step : spare;
    let a0 = zero,
      a1 = zero,
      a2 = zero,
      a3 = zero,
      b0 = zero,
      b1 = zero,
      b2 = zero,
      b3 = zero;
    let p: v128, q: v128;
    for (let y = v; y < end; y += 64) {
      p = v128.load(y);
      q = v128.load(y, 16);
      a0 = fma(v128.load(x0), p, a0);
      b0 = fma(v128.load(x0, 16), q, b0);
      a1 = fma(v128.load(x1), p, a1);
      b1 = fma(v128.load(x1, 16), q, b1);
      a2 = fma(v128.load(x2), p, a2);
      b2 = fma(v128.load(x2, 16), q, b2);
      a3 = fma(v128.load(x3), p, a3);
      b3 = fma(v128.load(x3, 16), q, b3);
      p = v128.load(y, 32);
      q = v128.load(y, 48);
      a0 = fma(v128.load(x0, 32), p, a0);
      b0 = fma(v128.load(x0, 48), q, b0);
      a1 = fma(v128.load(x1, 32), p, a1);
      b1 = fma(v128.load(x1, 48), q, b1);
      a2 = fma(v128.load(x2, 32), p, a2);
      b2 = fma(v128.load(x2, 48), q, b2);
      a3 = fma(v128.load(x3, 32), p, a3);
      b3 = fma(v128.load(x3, 48), q, b3);
      x0 += 64;
      x1 += 64;
      x2 += 64;
      x3 += 64;
    }
    a0 = f32x4.add(a0, b0);
    a1 = f32x4.add(a1, b1);
    a2 = f32x4.add(a2, b2);
    a3 = f32x4.add(a3, b3);
    const low = f32x4.add(v128.shuffle<f32>(a0, a1, 0, 4, 1, 5), v128.shuffle<f32>(a0, a1, 2, 6, 3, 7));
    const high = f32x4.add(v128.shuffle<f32>(a2, a3, 0, 4, 1, 5), v128.shuffle<f32>(a2, a3, 2, 6, 3, 7));
    const w = f32x4.mul(
      factor,
      f32x4.add(v128.shuffle<f32>(low, high, 0, 1, 4, 5), v128.shuffle<f32>(low, high, 2, 3, 6, 7)),
    );
    const w0 = v128.shuffle<f32>(w, w, 0, 0, 0, 0);
    const w1 = v128.shuffle<f32>(w, w, 1, 1, 1, 1);
    const w2 = v128.shuffle<f32>(w, w, 2, 2, 2, 2);
    const w3 = v128.shuffle<f32>(w, w, 3, 3, 3, 3);
    x0 -= bytes;
    x1 -= bytes;
    x2 -= bytes;
    x3 -= bytes;
    for (let y = v; y < end; y += 64) {
      p = v128.load(y);
      q = v128.load(y, 16);
      a0 = fma(w0, p, v128.load(x0));
      b0 = fma(w0, q, v128.load(x0, 16));
      v128.store(x0, a0);
      v128.store(x0, b0, 16);
      a1 = fma(w1, p, v128.load(x1));
      b1 = fma(w1, q, v128.load(x1, 16));
      v128.store(x1, a1);
      v128.store(x1, b1, 16);
      a2 = fma(w2, p, v128.load(x2));
      b2 = fma(w2, q, v128.load(x2, 16));
      v128.store(x2, a2);
      v128.store(x2, b2, 16);
      a3 = fma(w3, p, v128.load(x3));
      b3 = fma(w3, q, v128.load(x3, 16));
      v128.store(x3, a3);
      v128.store(x3, b3, 16);
      p = v128.load(y, 32);
      q = v128.load(y, 48);
      a0 = fma(w0, p, v128.load(x0, 32));
      b0 = fma(w0, q, v128.load(x0, 48));
      v128.store(x0, a0, 32);
      v128.store(x0, b0, 48);
      a1 = fma(w1, p, v128.load(x1, 32));
      b1 = fma(w1, q, v128.load(x1, 48));
      v128.store(x1, a1, 32);
      v128.store(x1, b1, 48);
      a2 = fma(w2, p, v128.load(x2, 32));
      b2 = fma(w2, q, v128.load(x2, 48));
      v128.store(x2, a2, 32);
      v128.store(x2, b2, 48);
      a3 = fma(w3, p, v128.load(x3, 32));
      b3 = fma(w3, q, v128.load(x3, 48));
      v128.store(x3, a3, 32);
      v128.store(x3, b3, 48);
      x0 += 64;
      x1 += 64;
      x2 += 64;
      x3 += 64;
    }
    x += 4 * step;
  }
}

/** One step. `vRight` and `vLeft` have room for b + 4 numbers each. */
function chaseStep(
  band: usize,
  stride: i32,
  b: i32,
  s: i32,
  t: i32,
  vRight: usize,
  vLeft: usize,
  taus: usize,
  spare: usize,
): void {
  const r = t == 0 ? s : s + 1 + (t - 1) * b;
  const c = s + 1 + t * b;

  const x = at(band, stride, b, r, c);
  const tauRight = reflector(b, x, 4, vRight);
  store<f32>(taus, tauRight);
  store<f32>(x, load<f32>(vRight + ((<usize>b) << 2)));
  memory.fill(x + 4, 0, (<usize>(b - 1)) << 2);
  if (tauRight != 0)
    reflectRows(at(band, stride, b, r + 1, c), (<usize>(stride - 1)) << 2, c + b - r - 1, b, vRight, tauRight, spare);

  const down = (<usize>(stride - 1)) << 2;
  const column = at(band, stride, b, c, c);
  const tauLeft = reflector(b, column, down, vLeft);
  store<f32>(taus, tauLeft, 4);
  if (tauLeft != 0) {
    // In strips of 32 columns, whose products with v stay in eight registers.
    for (let strip = 0; strip < 2 * b; strip += 32) {
      const top = column + ((<usize>strip) << 2);
      let w0 = f32x4.splat(0),
        w1 = w0,
        w2 = w0,
        w3 = w0,
        w4 = w0,
        w5 = w0,
        w6 = w0,
        w7 = w0;
      let row = top;
      for (let i = 0; i < b; i++) {
        const f = v128.load32_splat(vLeft + ((<usize>i) << 2));
        w0 = fma(f, v128.load(row), w0);
        w1 = fma(f, v128.load(row, 16), w1);
        w2 = fma(f, v128.load(row, 32), w2);
        w3 = fma(f, v128.load(row, 48), w3);
        w4 = fma(f, v128.load(row, 64), w4);
        w5 = fma(f, v128.load(row, 80), w5);
        w6 = fma(f, v128.load(row, 96), w6);
        w7 = fma(f, v128.load(row, 112), w7);
        row += down;
      }
      row = top;
      for (let i = 0; i < b; i++) {
        const f = f32x4.splat(-tauLeft * load<f32>(vLeft + ((<usize>i) << 2)));
        const y0 = fma(f, w0, v128.load(row));
        const y1 = fma(f, w1, v128.load(row, 16));
        const y2 = fma(f, w2, v128.load(row, 32));
        const y3 = fma(f, w3, v128.load(row, 48));
        const y4 = fma(f, w4, v128.load(row, 64));
        const y5 = fma(f, w5, v128.load(row, 80));
        const y6 = fma(f, w6, v128.load(row, 96));
        const y7 = fma(f, w7, v128.load(row, 112));
        v128.store(row, y0);
        v128.store(row, y1, 16);
        v128.store(row, y2, 32);
        v128.store(row, y3, 48);
        v128.store(row, y4, 64);
        v128.store(row, y5, 80);
        v128.store(row, y6, 96);
        v128.store(row, y7, 112);
        row += down;
      }
    }
  }
  store<f32>(column, load<f32>(vLeft + ((<usize>b) << 2)));
  for (let i = 1; i < b; i++) store<f32>(column + <usize>i * down, 0);
}

/**
 * Runs sweeps `first` .. `last` - 1 on `workers` threads. Each owns a stretch of the band, which stays in its cache, and
 * takes every sweep through it: sweep s enters a stretch when it has left the one before, and its step t waits until
 * sweep s - 1 has done step t + 2, so that their rows do not overlap.
 *
 * @param progress a cache line per worker, initially zero, whose first i32 tells how far it is
 * @param reflectors if not 0, n rows of n + b + 16 columns: the right reflector of sweep s at column c goes to row s
 *   from column c on, and its tau to `taus` at 2 (s * steps + step); the left one goes `leftOffset` bytes further, its
 *   tau next to the right one's
 * @param scratch this thread's buffer of 3 (b + 16) numbers: the reflectors and taus of a step if they are not kept, and
 *   a row that stands in for a missing one
 */
export function chase(
  band: usize,
  stride: i32,
  b: i32,
  n: i32,
  first: i32,
  last: i32,
  progress: usize,
  reflectors: usize,
  leftOffset: usize,
  taus: usize,
  scratch: usize,
  sync: usize,
  id: i32,
  workers: i32,
): void {
  if (id >= workers) return;
  const steps = (n - 2) / b + 1;
  const width = n + b + 16;
  const length = (n - 1 - first) / workers;
  const from = first + 1 + id * length;
  const to = id == workers - 1 ? n : from + length;
  const mine = progress + ((<usize>id) << 6);
  const ahead = mine + 64;
  /** Steps are numbered sweep by sweep; three more than there are, because two steps on may be past the edge. */
  const numbers = steps + 3;
  const spare = scratch + ((<usize>(2 * b + 48)) << 2);
  for (let s = first; s < last; s++) {
    let t = s + 1 >= from ? 0 : (from - s - 2) / b + 1;
    let c = s + 1 + t * b;
    const number = (s - first) * numbers;
    if (t > 0 && c < to && !waitFor(mine - 64, number + t, sync)) return;
    for (; c < to; c += b, t++) {
      const beyond = c - 1 + 2 * b;
      if (s > first && beyond >= to && beyond < n && !waitFor(ahead, number - numbers + t + 3, sync)) return;
      if (reflectors) {
        const v = reflectors + ((<usize>s * width + c) << 2);
        chaseStep(band, stride, b, s, t, v, v + leftOffset, taus + ((<usize>s * steps + t) << 3), spare);
      } else {
        const left = scratch + ((<usize>(b + 16)) << 2);
        chaseStep(band, stride, b, s, t, scratch, left, left + ((<usize>(b + 16)) << 2), spare);
      }
      atomic.store<i32>(mine, number + t + 1);
    }
    if (askedToStop(sync)) return;
  }
}

/** Waits until another thread is as far as `step`; false if the work is to stop. */
function waitFor(progress: usize, step: i32, sync: usize): bool {
  // A step takes microseconds. A thread that takes hundreds has lost its core; only then is sleeping cheaper than
  // spinning.
  const patience = patienceOf(sync);
  for (let i = 0; i < patience; i++) if (atomic.load<i32>(progress) >= step) return true;
  losePatience(sync, patience);
  for (let done = atomic.load<i32>(progress); done < step; done = atomic.load<i32>(progress)) {
    if (askedToStop(sync)) return false;
    // Nobody notifies: the timeout only frees this core for a while.
    atomic.wait<i32>(progress, done, 200000);
  }
  return true;
}
