// Elementary functions of four f32 at a time, inlined into loops. For the decorators, see vectors.ts.
import { fma } from './vectors';

/** 1.5 2^23: a float of this size is a whole number, and its lowest bits are those of an integer. */
const WHOLE: f32 = 12582912;

/**
 * e^x to within 2 ulp for x in [-87.3, 88]; beyond, that of the nearer end. x = n ln 2 + r with |r| <= ln 2 / 2, and a
 * polynomial for e^r (Moshier's Cephes, `expf`), whose exponent n is added to. NaN stays NaN.
 */
// @ts-ignore: decorator
@inline
export function exponential(x: v128): v128 {
  // Of two numbers that are not ordered, pmin and pmax return the first.
  const z = f32x4.pmin(f32x4.pmax(x, f32x4.splat(-87.3)), f32x4.splat(88));
  // Conversions to integers take several instructions; the sum with WHOLE has n in its lowest bits.
  const shifted = fma(z, f32x4.splat(1.44269504088896341), f32x4.splat(WHOLE));
  const n = f32x4.sub(shifted, f32x4.splat(WHOLE));
  // ln 2 in two parts, of which n times the first is exact.
  const r = fma(n, f32x4.splat(2.12194440e-4), fma(n, f32x4.splat(-0.693359375), z));
  let p = fma(f32x4.splat(1.9875691500e-4), r, f32x4.splat(1.3981999507e-3));
  p = fma(p, r, f32x4.splat(8.3334519073e-3));
  p = fma(p, r, f32x4.splat(4.1665795894e-2));
  p = fma(p, r, f32x4.splat(1.6666665459e-1));
  p = fma(p, r, f32x4.splat(5.0000001201e-1));
  p = f32x4.add(fma(p, f32x4.mul(r, r), r), f32x4.splat(1));
  return i32x4.add(p, i32x4.shl(shifted, 23));
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
