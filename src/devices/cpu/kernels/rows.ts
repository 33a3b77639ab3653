// Rows of activations: norms, sums, rotary positions. All are row-major f32 without padding.
import { fma, sum } from './vectors';

/** Each of `count` stretches of `size` entries by itself: y = w x / sqrt(mean(x^2) + epsilon). */
export function rmsNorm(count: i32, size: i32, x: usize, out: usize, weight: usize, epsilon: f64): void {
  for (let k = 0; k < count; k++) {
    const from = x + ((<usize>k * size) << 2);
    const to = out + ((<usize>k * size) << 2);
    const scale = <f32>(1 / sqrt<f64>(squaresOf(size, from, 0) / size + epsilon));
    scaleInto(size, from, to, 0, scale, weight, 0);
  }
}

/** The same for y = w (x - mean) / sqrt(variance + epsilon) + b; `bias` may be 0. */
export function layerNorm(count: i32, size: i32, x: usize, out: usize, weight: usize, bias: usize, epsilon: f64): void {
  for (let k = 0; k < count; k++) {
    const from = x + ((<usize>k * size) << 2);
    const to = out + ((<usize>k * size) << 2);
    let total: f64 = 0;
    for (let i = 0; i < size; i++) total += load<f32>(from + ((<usize>i) << 2));
    const mean = total / size;
    const scale = <f32>(1 / sqrt<f64>(squaresOf(size, from, mean) / size + epsilon));
    scaleInto(size, from, to, <f32>mean, scale, weight, bias);
  }
}

/**
 * gradient <- that of x for `count` stretches, where it was that of their norm, whose kind is the layer norm or not.
 * Adds to the gradient of the weights, and with `ofBias` to that of the biases.
 */
export function normBack(
  count: i32,
  size: i32,
  isLayer: i32,
  x: usize,
  gradient: usize,
  weight: usize,
  epsilon: f64,
  ofWeight: usize,
  ofBias: usize,
): void {
  for (let k = 0; k < count; k++) {
    const from = x + ((<usize>k * size) << 2);
    const own = gradient + ((<usize>k * size) << 2);
    let mean: f64 = 0;
    if (isLayer) {
      for (let i = 0; i < size; i++) mean += load<f32>(from + ((<usize>i) << 2));
      mean /= size;
    }
    const scale = <f32>(1 / sqrt<f64>(squaresOf(size, from, mean) / size + epsilon));
    stretchBack(size, isLayer, from, own, weight, <f32>mean, scale, ofWeight, ofBias);
  }
}

/** With z = (x - mean) scale and g the gradient times the weights: scale (g - mean(g) - z mean(g z)). */
function stretchBack(
  size: i32,
  isLayer: i32,
  x: usize,
  gradient: usize,
  weight: usize,
  mean: f32,
  scale: f32,
  ofWeight: usize,
  ofBias: usize,
): void {
  const m = f32x4.splat(mean);
  const s = f32x4.splat(scale);
  let totals = f32x4.splat(0);
  let products = totals;
  let i = 0;
  for (; i + 4 <= size; i += 4) {
    const at = (<usize>i) << 2;
    const own = v128.load(gradient + at);
    const z = f32x4.mul(f32x4.sub(v128.load(x + at), m), s);
    const g = f32x4.mul(own, v128.load(weight + at));
    v128.store(ofWeight + at, fma(own, z, v128.load(ofWeight + at)));
    if (ofBias) v128.store(ofBias + at, f32x4.add(own, v128.load(ofBias + at)));
    totals = f32x4.add(totals, g);
    products = fma(g, z, products);
  }
  let total = sum(totals);
  let product = sum(products);
  for (; i < size; i++) {
    const at = (<usize>i) << 2;
    const own = load<f32>(gradient + at);
    const z = (load<f32>(x + at) - mean) * scale;
    const g = own * load<f32>(weight + at);
    store<f32>(ofWeight + at, load<f32>(ofWeight + at) + own * z);
    if (ofBias) store<f32>(ofBias + at, load<f32>(ofBias + at) + own);
    total += g;
    product += g * z;
  }
  const shift = isLayer ? total / <f32>size : 0;
  const slope = product / <f32>size;
  const shifts = f32x4.splat(shift);
  const slopes = f32x4.splat(slope);
  i = 0;
  for (; i + 4 <= size; i += 4) {
    const at = (<usize>i) << 2;
    const z = f32x4.mul(f32x4.sub(v128.load(x + at), m), s);
    const g = f32x4.sub(f32x4.mul(v128.load(gradient + at), v128.load(weight + at)), shifts);
    v128.store(gradient + at, f32x4.mul(s, f32x4.sub(g, f32x4.mul(z, slopes))));
  }
  for (; i < size; i++) {
    const at = (<usize>i) << 2;
    const z = (load<f32>(x + at) - mean) * scale;
    const g = load<f32>(gradient + at) * load<f32>(weight + at) - shift;
    store<f32>(gradient + at, scale * (g - z * slope));
  }
}

/** The sum of (x - mean)^2, in f64, in which no square of an f32 overflows. */
function squaresOf(size: i32, x: usize, mean: f64): f64 {
  const m = f64x2.splat(mean);
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  let i = 0;
  for (; i + 4 <= size; i += 4) {
    const at = x + ((<usize>i) << 2);
    const a = f64x2.sub(f64x2.promote_low_f32x4(v128.load64_zero(at)), m);
    const b = f64x2.sub(f64x2.promote_low_f32x4(v128.load64_zero(at, 8)), m);
    low = f64x2.add(low, f64x2.mul(a, a));
    high = f64x2.add(high, f64x2.mul(b, b));
  }
  const sums = f64x2.add(low, high);
  let total = f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1);
  for (; i < size; i++) {
    const difference = <f64>load<f32>(x + ((<usize>i) << 2)) - mean;
    total += difference * difference;
  }
  return total;
}

/** to <- w (x - mean) scale + b. */
function scaleInto(size: i32, x: usize, to: usize, mean: f32, scale: f32, weight: usize, bias: usize): void {
  const m = f32x4.splat(mean);
  const s = f32x4.splat(scale);
  let i = 0;
  for (; i + 4 <= size; i += 4) {
    const at = (<usize>i) << 2;
    const value = f32x4.mul(f32x4.mul(f32x4.sub(v128.load(x + at), m), s), v128.load(weight + at));
    v128.store(to + at, bias ? f32x4.add(value, v128.load(bias + at)) : value);
  }
  for (; i < size; i++) {
    const at = (<usize>i) << 2;
    const value = (load<f32>(x + at) - mean) * scale * load<f32>(weight + at);
    store<f32>(to + at, bias ? value + load<f32>(bias + at) : value);
  }
}

/** x <- x + scale y on `count` entries. */
export function addScaled(count: i32, x: usize, y: usize, scale: f32): void {
  const s = f32x4.splat(scale);
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const at = (<usize>i) << 2;
    v128.store(x + at, fma(s, v128.load(y + at), v128.load(x + at)));
  }
  for (; i < count; i++) {
    const at = (<usize>i) << 2;
    store<f32>(x + at, load<f32>(x + at) + scale * load<f32>(y + at));
  }
}

/**
 * Rotates entry i of the first `half` entries of each head with entry half + i, by the angle whose cosine and sine are
 * entry i of the row's own `half` cosines and sines.
 */
export function rotateRows(
  rows: i32,
  cols: i32,
  headSize: i32,
  half: i32,
  x: usize,
  cosines: usize,
  sines: usize,
): void {
  const span = (<usize>half) << 2;
  for (let row = 0; row < rows; row++) {
    const cosine = cosines + <usize>row * span;
    const sine = sines + <usize>row * span;
    for (let head = 0; head < cols; head += headSize) {
      const first = x + ((<usize>row * cols + head) << 2);
      let i = 0;
      for (; i + 4 <= half; i += 4) {
        const at = (<usize>i) << 2;
        const c = v128.load(cosine + at);
        const s = v128.load(sine + at);
        const a = v128.load(first + at);
        const b = v128.load(first + span + at);
        v128.store(first + at, f32x4.sub(f32x4.mul(a, c), f32x4.mul(b, s)));
        v128.store(first + span + at, f32x4.add(f32x4.mul(b, c), f32x4.mul(a, s)));
      }
      for (; i < half; i++) {
        const at = (<usize>i) << 2;
        const c = load<f32>(cosine + at);
        const s = load<f32>(sine + at);
        const a = load<f32>(first + at);
        const b = load<f32>(first + span + at);
        store<f32>(first + at, a * c - b * s);
        store<f32>(first + span + at, b * c + a * s);
      }
    }
  }
}

/** Writes to each row of `out` the stretches of `size` entries at from, from + step, ... of the same row of x. */
export function pick(rows: i32, cols: i32, outCols: i32, x: usize, out: usize, size: i32, from: i32, step: i32): void {
  for (let row = 0; row < rows; row++) {
    let at = x + ((<usize>row * cols + from) << 2);
    for (let to = 0; to < outCols; to += size) {
      memory.copy(out + ((<usize>row * outCols + to) << 2), at, (<usize>size) << 2);
      at += (<usize>step) << 2;
    }
  }
}

/** Writes each row of x to the stretches of `size` entries at from, from + step, ... of the same row of `out`. */
export function place(rows: i32, cols: i32, outCols: i32, x: usize, out: usize, size: i32, from: i32, step: i32): void {
  for (let row = 0; row < rows; row++) {
    let to = out + ((<usize>row * outCols + from) << 2);
    for (let at = 0; at < cols; at += size) {
      memory.copy(to, x + ((<usize>row * cols + at) << 2), (<usize>size) << 2);
      to += (<usize>step) << 2;
    }
  }
}
