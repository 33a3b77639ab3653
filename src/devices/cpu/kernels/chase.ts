// Band to bidiagonal by chasing bulges (Lang 1996; Haidar, Ltaief, Luszczek, Dongarra 2012).
//
// The band of n rows and `b` superdiagonals is held by rows: entry (i, j) at band[i * stride + j - i + b], stride >= 3 b + 4, with b further rows of
// zeros behind the last: every step then has its full size, and reflectors over the edge are zero there by themselves. Sweep s brings row s to bidiagonal form; its step t
//   1. takes row r (s itself, or s + 1 + (t - 1) b) and reflects columns c .. c + b - 1, c = s + 1 + t b, so that the row keeps only its first;
//   2. reflects rows c .. c + b - 1, so that column c keeps only its first.
// Only the first row and the first column of the bulge are cleared: the next sweeps take the rest.
import { fma, sum } from './fma';
import { askedToStop, nextTask } from './sync';

// @ts-ignore: decorator
@inline
function at(band: usize, stride: i32, b: i32, i: i32, j: i32): usize {
  return band + ((<usize>i * stride + (j - i + b)) << 2);
}

/** v (b entries, first 1) and tau that bring x to (beta, 0, ...); returns tau, and beta at v + 4 b. */
function reflector(b: i32, x: usize, step: usize, v: usize): f32 {
  let squares: f64 = 0;
  let p = x + step;
  for (let i = 1; i < b; i++) {
    const value = load<f32>(p);
    store<f32>(v + (<usize>i << 2), value);
    squares += <f64>value * value;
    p += step;
  }
  const alpha: f64 = load<f32>(x);
  store<f32>(v, 1);
  const beta = v + (<usize>b << 2);
  if (squares < 1e-60) {
    for (let i = 1; i < b; i++) store<f32>(v + (<usize>i << 2), 0);
    store<f32>(beta, <f32>alpha);
    return 0;
  }
  const norm = Math.sqrt(alpha * alpha + squares);
  const diagonal = alpha > 0 ? -norm : norm;
  const scale = <f32>(1 / (alpha - diagonal));
  for (let i = 1; i < b; i++) store<f32>(v + (<usize>i << 2), scale * load<f32>(v + (<usize>i << 2)));
  store<f32>(beta, <f32>diagonal);
  return <f32>((diagonal - alpha) / diagonal);
}

/** One step; `v` is room for b + 4 numbers for each of the two reflectors. */
function chaseStep(band: usize, stride: i32, b: i32, s: i32, t: i32, vRight: usize, vLeft: usize, taus: usize): void {
  const r = t == 0 ? s : s + 1 + (t - 1) * b;
  const c = s + 1 + t * b;

  const x = at(band, stride, b, r, c);
  const tauRight = reflector(b, x, 4, vRight);
  store<f32>(taus, tauRight);
  store<f32>(x, load<f32>(vRight + (<usize>b << 2)));
  memory.fill(x + 4, 0, <usize>(b - 1) << 2);
  if (tauRight != 0) {
    for (let i = r + 1; i < c + b; i++) {
      const row = at(band, stride, b, i, c);
      let s0 = f32x4.splat(0), s1 = f32x4.splat(0);
      for (let k: usize = 0; k < <usize>b << 2; k += 32) {
        s0 = fma(v128.load(row + k), v128.load(vRight + k), s0);
        s1 = fma(v128.load(row + k, 16), v128.load(vRight + k, 16), s1);
      }
      const w = f32x4.splat(-tauRight * sum(f32x4.add(s0, s1)));
      for (let k: usize = 0; k < <usize>b << 2; k += 32) {
        const y0 = fma(w, v128.load(vRight + k), v128.load(row + k));
        const y1 = fma(w, v128.load(vRight + k, 16), v128.load(row + k, 16));
        v128.store(row + k, y0);
        v128.store(row + k, y1, 16);
      }
    }
  }

  const down = <usize>(stride - 1) << 2;
  const column = at(band, stride, b, c, c);
  const tauLeft = reflector(b, column, down, vLeft);
  store<f32>(taus, tauLeft, 4);
  if (tauLeft != 0) {
    // Strips of 32 columns: their products with v stay in eight registers.
    for (let strip = 0; strip < 2 * b; strip += 32) {
      const top = column + (<usize>strip << 2);
      let w0 = f32x4.splat(0), w1 = w0, w2 = w0, w3 = w0, w4 = w0, w5 = w0, w6 = w0, w7 = w0;
      let row = top;
      for (let i = 0; i < b; i++) {
        const f = v128.load32_splat(vLeft + (<usize>i << 2));
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
        const f = f32x4.splat(-tauLeft * load<f32>(vLeft + (<usize>i << 2)));
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
  store<f32>(column, load<f32>(vLeft + (<usize>b << 2)));
  for (let i = 1; i < b; i++) store<f32>(column + <usize>i * down, 0);
}

/**
 * Sweeps `first` .. `last` - 1 by all threads, in groups of `group` sweeps that one thread runs interleaved, two steps apart, over the same part
 * of the band while it is in its cache. A group follows the one before it at the distance that keeps their rows apart.
 *
 * @param progress one i32 for each group, zero at first: the ticks that the group has done
 * @param reflectors where not 0, room for (n rows, n + b + 16 columns): the right reflector of sweep s and column c goes to row s, column c
 *   on, and its tau to `taus` at 2 (s * steps + step); the left ones the same, `leftOffset` bytes behind, tau next to the right one's
 * @param scratch this thread's room for 2 (b + 16) numbers where reflectors are not kept
 */
export function chase(
  band: usize, stride: i32, b: i32, n: i32, first: i32, last: i32, group: i32, progress: usize,
  reflectors: usize, leftOffset: usize, taus: usize, scratch: usize, sync: usize,
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
          chaseStep(band, stride, b, s, t, scratch, scratch + ((<usize>(b + 16)) << 2), scratch + ((<usize>(2 * b + 32)) << 2));
        }
      }
      atomic.store<i32>(mine, tick + 1);
    }
    atomic.store<i32>(mine, i32.MAX_VALUE);
    if (askedToStop(sync)) return;
  }
}

/**
 * V^T (count x ld, dense) of the reflectors of one step in `count` sweeps in a row: row i takes `b` entries, fewer at the edge of n, from place i on.
 * @param source the first one's entries; the next one's are one row of `width` and one place on
 */
export function gatherReflectors(source: usize, width: i32, count: i32, b: i32, room: i32, out: usize, ld: i32): void {
  for (let i = 0; i < count; i++) {
    const length = min(b, room - i);
    const row = out + ((<usize>(i * ld)) << 2);
    memory.fill(row, 0, <usize>i << 2);
    memory.copy(row + (<usize>i << 2), source + ((<usize>i * (width + 1)) << 2), <usize>length << 2);
    memory.fill(row + (<usize>(i + length) << 2), 0, <usize>(ld - i - length) << 2);
  }
}

/** Until another group has done `ticks`; false when the work is to stop. */
function waitFor(progress: usize, ticks: i32, sync: usize): bool {
  // A tick takes microseconds: a thread that takes hundreds was taken away, and only then is it cheaper to sleep than to look.
  for (let i = 0; i < 100000; i++) if (atomic.load<i32>(progress) >= ticks) return true;
  for (let done = atomic.load<i32>(progress); done < ticks; done = atomic.load<i32>(progress)) {
    if (askedToStop(sync)) return false;
    // Nobody rings: a busy machine may have taken the other thread away, and this one only steps aside for a while.
    atomic.wait<i32>(progress, done, 200000);
  }
  return true;
}
