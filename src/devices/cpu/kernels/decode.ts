// Decoding of stored floats to f32, with statistics from the same pass. Except for subnormal codes it is integer
// arithmetic on bits, so that signs and NaN payloads survive.

import { fromE4m3, fromHalf } from './smallFloats';

// `KERNEL_ENCODING` of decoding.ts.
const BF16 = 1;
const F16 = 2;
const F8_E4M3 = 3;
const F8_E5M2 = 4;

/** Numbers decoded and scanned at a time, while they are in the L1 cache. */
const BLOCK = 2048;

/**
 * Decodes `count` numbers from `source` to `out`; those of F32 (encoding 0) are already at `out`. Writes two f64 to
 * `sums`: the sum of squares, and the largest magnitude, which is NaN if an entry is not finite.
 */
export function decode(encoding: i32, count: i32, source: usize, out: usize, sums: usize): void {
  let squares = 0.0;
  let largest = 0;
  for (let from = 0; from < count; from += BLOCK) {
    const size = min(BLOCK, count - from);
    const to = out + ((<usize>from) << 2);
    switch (encoding) {
      case BF16:
        decodeBf16(size, source + ((<usize>from) << 1), to);
        break;
      case F16:
        decodeF16(size, source + ((<usize>from) << 1), to);
        break;
      case F8_E4M3:
        decodeE4m3(size, source + from, to);
        break;
      case F8_E5M2:
        decodeE5m2(size, source + from, to);
        break;
    }
    squares += sumOfSquares(size, to);
    largest = max(largest, largestBits(size, to));
  }
  store<f64>(sums, squares);
  // The bits of magnitudes are ordered as their values, with infinity and NaN on top.
  store<f64>(sums, largest < 0x7f800000 ? <f64>reinterpret<f32>(largest) : NaN, 8);
}

function decodeBf16(count: i32, source: usize, out: usize): void {
  let i = 0;
  for (; i + 8 <= count; i += 8) {
    const codes = v128.load(source + ((<usize>i) << 1));
    const to = out + ((<usize>i) << 2);
    v128.store(to, i32x4.shl(i32x4.extend_low_i16x8_u(codes), 16));
    v128.store(to, i32x4.shl(i32x4.extend_high_i16x8_u(codes), 16), 16);
  }
  for (; i < count; i++) store<u32>(out + ((<usize>i) << 2), (<u32>load<u16>(source + ((<usize>i) << 1))) << 16);
}

function decodeF16(count: i32, source: usize, out: usize): void {
  let i = 0;
  for (; i + 8 <= count; i += 8) {
    const codes = v128.load(source + ((<usize>i) << 1));
    const to = out + ((<usize>i) << 2);
    v128.store(to, fromHalf(i32x4.extend_low_i16x8_u(codes)));
    v128.store(to, fromHalf(i32x4.extend_high_i16x8_u(codes)), 16);
  }
  for (; i < count; i++)
    storeFirst(out + ((<usize>i) << 2), fromHalf(i32x4.splat(load<u16>(source + ((<usize>i) << 1)))));
}

/** E5M2 is F16 without its lower byte. */
function decodeE5m2(count: i32, source: usize, out: usize): void {
  let i = 0;
  for (; i + 8 <= count; i += 8) {
    const codes = i16x8.shl(v128.load_ext<u8>(source + i), 8);
    const to = out + ((<usize>i) << 2);
    v128.store(to, fromHalf(i32x4.extend_low_i16x8_u(codes)));
    v128.store(to, fromHalf(i32x4.extend_high_i16x8_u(codes)), 16);
  }
  for (; i < count; i++) storeFirst(out + ((<usize>i) << 2), fromHalf(i32x4.splat((<i32>load<u8>(source + i)) << 8)));
}

function decodeE4m3(count: i32, source: usize, out: usize): void {
  let i = 0;
  for (; i + 8 <= count; i += 8) {
    const codes = v128.load_ext<u8>(source + i);
    const to = out + ((<usize>i) << 2);
    v128.store(to, fromE4m3(i32x4.extend_low_i16x8_u(codes)));
    v128.store(to, fromE4m3(i32x4.extend_high_i16x8_u(codes)), 16);
  }
  for (; i < count; i++) storeFirst(out + ((<usize>i) << 2), fromE4m3(i32x4.splat(load<u8>(source + i))));
}

function storeFirst(to: usize, value: v128): void {
  v128.store_lane<u32>(to, value, 0);
}

function sumOfSquares(count: i32, at: usize): f64 {
  let a = f64x2.splat(0);
  let b = f64x2.splat(0);
  let c = f64x2.splat(0);
  let d = f64x2.splat(0);
  let i = 0;
  for (; i + 8 <= count; i += 8) {
    const p = at + ((<usize>i) << 2);
    const x = v128.load(p);
    const y = v128.load(p, 16);
    const x0 = f64x2.promote_low_f32x4(x);
    const x1 = f64x2.promote_low_f32x4(v128.shuffle<u64>(x, x, 1, 0));
    const y0 = f64x2.promote_low_f32x4(y);
    const y1 = f64x2.promote_low_f32x4(v128.shuffle<u64>(y, y, 1, 0));
    a = f64x2.add(a, f64x2.mul(x0, x0));
    b = f64x2.add(b, f64x2.mul(x1, x1));
    c = f64x2.add(c, f64x2.mul(y0, y0));
    d = f64x2.add(d, f64x2.mul(y1, y1));
  }
  const all = f64x2.add(f64x2.add(a, b), f64x2.add(c, d));
  let sum = f64x2.extract_lane(all, 0) + f64x2.extract_lane(all, 1);
  for (; i < count; i++) {
    const x = <f64>load<f32>(at + ((<usize>i) << 2));
    sum += x * x;
  }
  return sum;
}

/** The bits of the largest magnitude. */
function largestBits(count: i32, at: usize): i32 {
  const mask = i32x4.splat(0x7fffffff);
  let best = i32x4.splat(0);
  let i = 0;
  for (; i + 4 <= count; i += 4) best = i32x4.max_s(best, v128.and(mask, v128.load(at + ((<usize>i) << 2))));
  let value = max(
    max(i32x4.extract_lane(best, 0), i32x4.extract_lane(best, 1)),
    max(i32x4.extract_lane(best, 2), i32x4.extract_lane(best, 3)),
  );
  for (; i < count; i++) value = max(value, load<i32>(at + ((<usize>i) << 2)) & 0x7fffffff);
  return value;
}
