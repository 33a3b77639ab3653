// Reduction of a band to bidiagonal form by chasing bulges (Lang 1996; Haidar, Ltaief, Luszczek, Dongarra 2012).
//
// The band of n rows and b superdiagonals is stored by rows: entry (i, j) is at band[i * stride + j - i + b], with
// stride >= 3 b. b rows of zeros follow the last, so that every step has its full size and reflectors are zero past the
// edge.
// Sweep s brings row s to bidiagonal form. With c = s + 1 + t b, its step t
//   1. reflects columns c .. c + b - 1, so that row r (s in the first step, then c - b) keeps only the first of them;
//   2. reflects rows c .. c + b - 1, so that column c keeps only the first of them.
// Only the first row and column of the bulge are cleared; later sweeps clear the rest.
import { askedToStop, nextTask } from './sync';
import { fma, sum } from './vectors';

/** The address of entry (i, j) of the band. */
function at(band: usize, stride: i32, b: i32, i: i32, j: i32): usize {
  return band + ((<usize>i * stride + (j - i + b)) << 2);
}

/** Computes v (b entries, the first 1) and tau that take x to (beta, 0, ...); returns tau and stores beta behind v. */
function reflector(b: i32, x: usize, step: usize, v: usize): f32 {
  let squares: f64 = 0;
  let p = x + step;
  for (let i = 1; i < b; i++) {
    const value = load<f32>(p);
    store<f32>(v + ((<usize>i) << 2), value);
    squares += <f64>value * value;
    p += step;
  }
  const alpha: f64 = load<f32>(x);
  store<f32>(v, 1);
  const beta = v + ((<usize>b) << 2);
  if (squares < 1e-60) {
    for (let i = 1; i < b; i++) store<f32>(v + ((<usize>i) << 2), 0);
    store<f32>(beta, <f32>alpha);
    return 0;
  }
  const norm = Math.sqrt(alpha * alpha + squares);
  const diagonal = alpha > 0 ? -norm : norm;
  const scale = <f32>(1 / (alpha - diagonal));
  for (let i = 1; i < b; i++) store<f32>(v + ((<usize>i) << 2), scale * load<f32>(v + ((<usize>i) << 2)));
  store<f32>(beta, <f32>diagonal);
  return <f32>((diagonal - alpha) / diagonal);
}

/** One step. `vRight` and `vLeft` have room for b + 4 numbers each. */
function chaseStep(band: usize, stride: i32, b: i32, s: i32, t: i32, vRight: usize, vLeft: usize, taus: usize): void {
  const r = t == 0 ? s : s + 1 + (t - 1) * b;
  const c = s + 1 + t * b;

  const x = at(band, stride, b, r, c);
  const tauRight = reflector(b, x, 4, vRight);
  store<f32>(taus, tauRight);
  store<f32>(x, load<f32>(vRight + ((<usize>b) << 2)));
  memory.fill(x + 4, 0, (<usize>(b - 1)) << 2);
  if (tauRight != 0) {
    for (let i = r + 1; i < c + b; i++) {
      const row = at(band, stride, b, i, c);
      let s0 = f32x4.splat(0),
        s1 = f32x4.splat(0);
      for (let k: usize = 0; k < (<usize>b) << 2; k += 32) {
        s0 = fma(v128.load(row + k), v128.load(vRight + k), s0);
        s1 = fma(v128.load(row + k, 16), v128.load(vRight + k, 16), s1);
      }
      const w = f32x4.splat(-tauRight * sum(f32x4.add(s0, s1)));
      for (let k: usize = 0; k < (<usize>b) << 2; k += 32) {
        const y0 = fma(w, v128.load(vRight + k), v128.load(row + k));
        const y1 = fma(w, v128.load(vRight + k, 16), v128.load(row + k, 16));
        v128.store(row + k, y0);
        v128.store(row + k, y1, 16);
      }
    }
  }

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
 * Runs sweeps `first` .. `last` - 1 on all threads. A thread runs `group` sweeps interleaved, two steps apart, over the
 * same part of the band while it is cached. A group follows the one before it at a distance that keeps their rows
 * apart.
 *
 * @param progress one i32 per group, initially zero: the ticks that the group has done
 * @param reflectors if not 0, n rows of n + b + 16 columns: the right reflector of sweep s at column c goes to row s
 *   from column c on, and its tau to `taus` at 2 (s * steps + step); the left one goes `leftOffset` bytes further, its
 *   tau next to the right one's
 * @param scratch this thread's buffer for the 2 (b + 16) numbers of a step and its two taus if reflectors are not kept
 */
export function chase(
  band: usize,
  stride: i32,
  b: i32,
  n: i32,
  first: i32,
  last: i32,
  group: i32,
  progress: usize,
  reflectors: usize,
  leftOffset: usize,
  taus: usize,
  scratch: usize,
  sync: usize,
): void {
  const groups = (last - first + group - 1) / group;
  const steps = (n - 2) / b + 1;
  const width = n + b + 16;
  for (let g = nextTask(sync); g < groups; g = nextTask(sync)) {
    const from = first + g * group;
    const to = min(last, from + group);
    const before: usize = g == 0 ? 0 : progress + ((<usize>(g - 1)) << 2);
    const mine = progress + ((<usize>g) << 2);
    const ticks = (n - 2 - from) / b + 1 + 2 * (to - from - 1);
    for (let tick = 0; tick < ticks; tick++) {
      if (before != 0 && !waitFor(before, tick + 2 * group + 1, sync)) return;
      for (let s = from; s < to; s++) {
        const t = tick - 2 * (s - from);
        if (t < 0) break;
        const c = s + 1 + t * b;
        if (c >= n) continue;
        if (reflectors) {
          const v = reflectors + ((<usize>s * width + c) << 2);
          chaseStep(band, stride, b, s, t, v, v + leftOffset, taus + ((<usize>s * steps + t) << 3));
        } else {
          chaseStep(
            band,
            stride,
            b,
            s,
            t,
            scratch,
            scratch + ((<usize>(b + 16)) << 2),
            scratch + ((<usize>(2 * b + 32)) << 2),
          );
        }
      }
      atomic.store<i32>(mine, tick + 1);
    }
    atomic.store<i32>(mine, i32.MAX_VALUE);
    if (askedToStop(sync)) return;
  }
}

/**
 * Gathers V^T (count x ld, dense) from the reflectors of one step in `count` consecutive sweeps: row i has b entries
 * from place i on, or fewer at the edge.
 * @param source the entries of the first; those of the next are one row of `width` and one place further
 */
export function gatherReflectors(source: usize, width: i32, count: i32, b: i32, room: i32, out: usize, ld: i32): void {
  for (let i = 0; i < count; i++) {
    const length = min(b, room - i);
    const row = out + ((<usize>(i * ld)) << 2);
    memory.fill(row, 0, (<usize>i) << 2);
    memory.copy(row + ((<usize>i) << 2), source + ((<usize>i * (width + 1)) << 2), (<usize>length) << 2);
    memory.fill(row + ((<usize>(i + length)) << 2), 0, (<usize>(ld - i - length)) << 2);
  }
}

/** Waits until another group has done `ticks`; false if the work is to stop. */
function waitFor(progress: usize, ticks: i32, sync: usize): bool {
  // A tick takes microseconds. A thread that takes hundreds has lost its core; only then is sleeping cheaper than
  // spinning.
  for (let i = 0; i < 100000; i++) if (atomic.load<i32>(progress) >= ticks) return true;
  for (let done = atomic.load<i32>(progress); done < ticks; done = atomic.load<i32>(progress)) {
    if (askedToStop(sync)) return false;
    // Nobody notifies: the timeout only frees this core for a while.
    atomic.wait<i32>(progress, done, 200000);
  }
  return true;
}
