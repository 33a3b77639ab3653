// Vector operations that are inlined wherever they are called. AssemblyScript's decorators on functions are no syntax
// that Biome parses, so every function that needs one is here, in functions.ts or in smallFloats.ts, and these files are
// exempt from it.

/** a * b + c: fused if the build has relaxed SIMD, otherwise rounded twice. */
// @ts-ignore: decorator
@inline
export function fma(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

/** The sum of the four lanes. */
// @ts-ignore: decorator
@inline
export function sum(v: v128): f32 {
  return (
    f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3))
  );
}

/** The inner product of x and y on [from, to). */
// @ts-ignore: decorator
@inline
export function dot(from: i32, to: i32, x: usize, y: usize): f64 {
  let total: f64 = 0;
  let i = from;
  // Runs of 512 are summed in f32 and their sums in f64, so that the error does not grow with the height of the panel.
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

/** y <- y - w v on [from, to). */
// @ts-ignore: decorator
@inline
export function subtract(from: i32, to: i32, w: f32, v: usize, y: usize): void {
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

/** y <- y - w v on [from, to); returns the inner product of the new y and x there. */
// @ts-ignore: decorator
@inline
export function subtractAndDot(from: i32, to: i32, w: f32, v: usize, y: usize, x: usize): f64 {
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

/** v <- factor v on [from, to). */
// @ts-ignore: decorator
@inline
export function multiply(from: i32, to: i32, factor: f32, v: usize): void {
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
