// Functions of each entry of a row of activations.
import { complementaryError, exponential, tangent } from './functions';

// `ACTIVATIONS` of routines/rows.ts.
const SILU = 0;
const GELU = 1;
const GELU_TANH = 2;
const QUICK_GELU = 3;
const RELU = 4;

/** x <- f(x), or with a factor x <- f(x) factor, on `count` entries. */
export function activate(kind: i32, count: i32, x: usize, factor: usize): void {
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const at = (<usize>i) << 2;
    const value = activated(kind, v128.load(x + at));
    v128.store(x + at, factor ? f32x4.mul(value, v128.load(factor + at)) : value);
  }
  for (; i < count; i++) {
    const at = (<usize>i) << 2;
    const value = activated(kind, v128.load32_zero(x + at));
    v128.store32_lane(x + at, factor ? f32x4.mul(value, v128.load32_zero(factor + at)) : value, 0);
  }
}

function activated(kind: i32, x: v128): v128 {
  const zero = f32x4.splat(0);
  const one = f32x4.splat(1);
  const half = f32x4.splat(0.5);
  switch (kind) {
    case SILU:
      return f32x4.div(x, f32x4.add(one, exponential(f32x4.neg(x))));
    case GELU:
      return f32x4.mul(f32x4.mul(half, x), complementaryError(f32x4.mul(x, f32x4.splat(<f32>-Math.SQRT1_2))));
    case GELU_TANH: {
      const cubed = f32x4.mul(f32x4.mul(f32x4.mul(x, x), x), f32x4.splat(0.044715));
      const inner = f32x4.mul(f32x4.splat(0.7978845608028654), f32x4.add(x, cubed));
      return f32x4.mul(f32x4.mul(half, x), f32x4.add(one, tangent(inner)));
    }
    case QUICK_GELU:
      return f32x4.div(x, f32x4.add(one, exponential(f32x4.mul(x, f32x4.splat(-1.702)))));
    case RELU:
      return f32x4.max(x, zero);
    default: {
      // The square of the positive part.
      const positive = f32x4.max(x, zero);
      return f32x4.mul(positive, positive);
    }
  }
}

/**
 * gradient <- that of x, and with a factor also `ofFactor` <- that of the factor, where it was that of f(x) factor.
 */
export function activateBack(kind: i32, count: i32, x: usize, gradient: usize, factor: usize, ofFactor: usize): void {
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const at = (<usize>i) << 2;
    const value = v128.load(x + at);
    let own = v128.load(gradient + at);
    if (factor) {
      v128.store(ofFactor + at, f32x4.mul(own, activated(kind, value)));
      own = f32x4.mul(own, v128.load(factor + at));
    }
    v128.store(gradient + at, f32x4.mul(own, slopeOf(kind, value)));
  }
  for (; i < count; i++) {
    const at = (<usize>i) << 2;
    const value = v128.load32_zero(x + at);
    let own = v128.load32_zero(gradient + at);
    if (factor) {
      v128.store32_lane(ofFactor + at, f32x4.mul(own, activated(kind, value)), 0);
      own = f32x4.mul(own, v128.load32_zero(factor + at));
    }
    v128.store32_lane(gradient + at, f32x4.mul(own, slopeOf(kind, value)), 0);
  }
}

/** The derivative of `activated`. */
function slopeOf(kind: i32, x: v128): v128 {
  const zero = f32x4.splat(0);
  const one = f32x4.splat(1);
  const half = f32x4.splat(0.5);
  switch (kind) {
    case SILU:
      return logisticSlope(x);
    case GELU: {
      const share = f32x4.mul(half, complementaryError(f32x4.mul(x, f32x4.splat(<f32>-Math.SQRT1_2))));
      const density = exponential(f32x4.mul(f32x4.mul(x, x), f32x4.splat(-0.5)));
      return f32x4.add(share, f32x4.mul(f32x4.mul(x, f32x4.splat(0.3989422804014327)), density));
    }
    case GELU_TANH: {
      const square = f32x4.mul(x, x);
      const cubed = f32x4.mul(f32x4.mul(square, x), f32x4.splat(0.044715));
      const t = tangent(f32x4.mul(f32x4.splat(0.7978845608028654), f32x4.add(x, cubed)));
      const inner = f32x4.add(f32x4.splat(0.7978845608028654), f32x4.mul(square, f32x4.splat(0.10703222)));
      const bend = f32x4.mul(f32x4.mul(x, f32x4.sub(one, f32x4.mul(t, t))), inner);
      return f32x4.mul(half, f32x4.add(f32x4.add(one, t), bend));
    }
    case QUICK_GELU:
      return logisticSlope(f32x4.mul(x, f32x4.splat(1.702)));
    case RELU:
      return v128.and(f32x4.gt(x, zero), one);
    default:
      return f32x4.add(f32x4.max(x, zero), f32x4.max(x, zero));
  }
}

/** The derivative of x / (1 + e^-z) in x, for z = k x. */
function logisticSlope(z: v128): v128 {
  const one = f32x4.splat(1);
  const share = f32x4.div(one, f32x4.add(one, exponential(f32x4.neg(z))));
  return f32x4.mul(share, f32x4.add(one, f32x4.mul(z, f32x4.sub(one, share))));
}

/** x <- scale x, and with a cap above zero x <- cap tanh(scale x / cap). */
export function rescale(count: i32, x: usize, scale: f32, cap: f32): void {
  const factor = f32x4.splat(scale);
  const limit = f32x4.splat(cap);
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const at = x + ((<usize>i) << 2);
    const value = f32x4.mul(factor, v128.load(at));
    v128.store(at, cap > 0 ? f32x4.mul(limit, tangent(f32x4.div(value, limit))) : value);
  }
  for (; i < count; i++) {
    const at = x + ((<usize>i) << 2);
    const value = f32x4.mul(factor, v128.load32_zero(at));
    v128.store32_lane(at, cap > 0 ? f32x4.mul(limit, tangent(f32x4.div(value, limit))) : value, 0);
  }
}
