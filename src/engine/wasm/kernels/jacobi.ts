// One-sided Jacobi (Hestenes 1958) on the rows of a matrix.
import { fma, sum } from './fma';

/**
 * Rotates rows x and y (length n, floats) so that they become orthogonal, and rows p and q (length m) likewise.
 * @returns 1 where a rotation was needed
 */
export function rotateRows(n: i32, x: usize, y: usize, m: i32, p: usize, q: usize, tolerance: f64): i32 {
  let xx: f64 = 0, yy: f64 = 0, xy: f64 = 0;
  let i = 0;
  while (i + 4 <= n) {
    const end = min(n - 3, i + 256);
    let a = f32x4.splat(0), b = a, c = a;
    for (; i < end; i += 4) {
      const u = v128.load(x + (<usize>i << 2)), v = v128.load(y + (<usize>i << 2));
      a = fma(u, u, a);
      b = fma(v, v, b);
      c = fma(u, v, c);
    }
    xx += sum(a);
    yy += sum(b);
    xy += sum(c);
  }
  for (; i < n; i++) {
    const u: f64 = load<f32>(x + (<usize>i << 2)), v: f64 = load<f32>(y + (<usize>i << 2));
    xx += u * u;
    yy += v * v;
    xy += u * v;
  }
  // Larger rows move to the front, which makes the values come out sorted and the sweeps converge sooner.
  const swap = yy > xx;
  if (Math.abs(xy) <= tolerance * Math.sqrt(xx * yy) || xy == 0) {
    if (!swap) return 0;
    rotate(n, x, y, 0, 1);
    rotate(m, p, q, 0, 1);
    return 0;
  }
  const zeta = (yy - xx) / (2 * xy);
  const t = (zeta >= 0 ? 1.0 : -1.0) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
  let c = 1 / Math.sqrt(1 + t * t);
  let s = -c * t;
  if (swap) {
    const old = c;
    c = -s;
    s = old;
  }
  rotate(n, x, y, <f32>c, <f32>s);
  rotate(m, p, q, <f32>c, <f32>s);
  return 1;
}

/** (x, y) <- (c x + s y, c y - s x). */
function rotate(n: i32, x: usize, y: usize, c: f32, s: f32): void {
  const cc = f32x4.splat(c), ss = f32x4.splat(s), minus = f32x4.splat(-s);
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    const a = x + (<usize>i << 2), b = y + (<usize>i << 2);
    const u = v128.load(a), v = v128.load(b);
    v128.store(a, fma(cc, u, f32x4.mul(ss, v)));
    v128.store(b, fma(cc, v, f32x4.mul(minus, u)));
  }
  for (; i < n; i++) {
    const a = x + (<usize>i << 2), b = y + (<usize>i << 2);
    const u = load<f32>(a), v = load<f32>(b);
    store<f32>(a, c * u + s * v);
    store<f32>(b, c * v - s * u);
  }
}
