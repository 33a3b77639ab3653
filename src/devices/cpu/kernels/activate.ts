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
