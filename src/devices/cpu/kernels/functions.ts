// Elementary functions of four f32 at a time, inlined into loops. For the decorators, see vectors.ts.
import { fma } from './vectors';

/**
 * e^x to within 2 ulp of a normal result: x = n ln 2 + r with |r| <= ln 2 / 2, and a polynomial for e^r (Moshier's
 * Cephes, `expf`). Results below the normal numbers are zero, and those beyond the largest infinite.
 */
// @ts-ignore: decorator
@inline
export function exponential(x: v128): v128 {
  // The ends are clamped for the bits of 2^n. Comparisons below restore what lies beyond; NaN passes through.
  const bounded = f32x4.min(f32x4.max(x, f32x4.splat(-87.33654)), f32x4.splat(88.722839));
  const n = f32x4.nearest(f32x4.mul(bounded, f32x4.splat(1.44269504088896341)));
  // ln 2 in two parts, of which n times the first is exact.
  let r = fma(n, f32x4.splat(-0.693359375), bounded);
  r = fma(n, f32x4.splat(2.12194440e-4), r);
  let p = fma(f32x4.splat(1.9875691500e-4), r, f32x4.splat(1.3981999507e-3));
  p = fma(p, r, f32x4.splat(8.3334519073e-3));
  p = fma(p, r, f32x4.splat(4.1665795894e-2));
  p = fma(p, r, f32x4.splat(1.6666665459e-1));
  p = fma(p, r, f32x4.splat(5.0000001201e-1));
  p = f32x4.add(fma(p, f32x4.mul(r, r), r), f32x4.splat(1));
  // 2^n in two factors, because n may be 128.
  const whole = i32x4.trunc_sat_f32x4_s(n);
  const half = i32x4.shr_s(whole, 1);
  const bias = i32x4.splat(127);
  const first = i32x4.shl(i32x4.add(half, bias), 23);
  const second = i32x4.shl(i32x4.add(i32x4.sub(whole, half), bias), 23);
  const value = f32x4.mul(f32x4.mul(p, first), second);
  const normal = v128.andnot(value, f32x4.lt(x, f32x4.splat(-87.33654)));
  return v128.bitselect(f32x4.splat(Infinity), normal, f32x4.gt(x, f32x4.splat(88.722839)));
}

/** tanh x: a polynomial near zero, where 1 - 2 / (e^(2 x) + 1) would cancel (Cephes, `tanhf`). */
// @ts-ignore: decorator
@inline
export function tangent(x: v128): v128 {
  const one = f32x4.splat(1);
  const z = f32x4.mul(x, x);
  let p = fma(f32x4.splat(-5.70498872745e-3), z, f32x4.splat(2.06390887954e-2));
  p = fma(p, z, f32x4.splat(-5.37397155531e-2));
  p = fma(p, z, f32x4.splat(1.33314422036e-1));
  p = fma(p, z, f32x4.splat(-3.33332819422e-1));
  const near = fma(f32x4.mul(p, z), x, x);
  const far = f32x4.sub(one, f32x4.div(f32x4.splat(2), f32x4.add(exponential(f32x4.add(x, x)), one)));
  return v128.bitselect(near, far, f32x4.lt(f32x4.abs(x), f32x4.splat(0.625)));
}

/**
 * 1 - erf x with a relative error of 1e-6 (Press, Teukolsky, Vetterling, Flannery, "Numerical Recipes in C", 1992,
 * section 6.2).
 */
// @ts-ignore: decorator
@inline
export function complementaryError(x: v128): v128 {
  const one = f32x4.splat(1);
  const z = f32x4.abs(x);
  const t = f32x4.div(one, fma(f32x4.splat(0.5), z, one));
  let p = fma(f32x4.splat(0.17087277), t, f32x4.splat(-0.82215223));
  p = fma(p, t, f32x4.splat(1.48851587));
  p = fma(p, t, f32x4.splat(-1.13520398));
  p = fma(p, t, f32x4.splat(0.27886807));
  p = fma(p, t, f32x4.splat(-0.18628806));
  p = fma(p, t, f32x4.splat(0.09678418));
  p = fma(p, t, f32x4.splat(0.37409196));
  p = fma(p, t, f32x4.splat(1.00002368));
  p = fma(p, t, f32x4.splat(-1.26551223));
  const value = f32x4.mul(t, exponential(f32x4.sub(p, f32x4.mul(z, z))));
  return v128.bitselect(f32x4.sub(f32x4.splat(2), value), value, f32x4.lt(x, f32x4.splat(0)));
}
