// Small floats to f32, four at a time, inlined into the loops of decode.ts. For the decorators, see vectors.ts.

/** Decodes four F16 codes, one per 32-bit lane. */
// @ts-ignore: decorator
@inline
export function fromHalf(codes: v128): v128 {
  const magnitude = i32x4.shl(v128.and(codes, i32x4.splat(0x7fff)), 13);
  const special = i32x4.ge_s(magnitude, i32x4.splat(31 << 23));
  // The exponent's bias changes from 15 to 127; infinity and NaN move on to the highest exponent.
  const moved = i32x4.add(magnitude, i32x4.splat(112 << 23));
  const finite = withSubnormals(magnitude, moved, f32x4.splat(0.00006103515625));
  const value = v128.bitselect(i32x4.add(moved, i32x4.splat(112 << 23)), finite, special);
  return v128.or(value, i32x4.shl(v128.and(codes, i32x4.splat(0x8000)), 16));
}

/** Decodes four codes of E4M3 (OCP FP8), one per 32-bit lane. Its only NaN has all bits set. */
// @ts-ignore: decorator
@inline
export function fromE4m3(codes: v128): v128 {
  const magnitude = i32x4.shl(v128.and(codes, i32x4.splat(0x7f)), 20);
  const special = i32x4.eq(magnitude, i32x4.splat(0x7f << 20));
  const moved = i32x4.add(magnitude, i32x4.splat(120 << 23));
  const finite = withSubnormals(magnitude, moved, f32x4.splat(0.015625));
  const value = v128.bitselect(i32x4.splat(0x7fc00000), finite, special);
  return v128.or(value, i32x4.shl(v128.and(codes, i32x4.splat(0x80)), 24));
}

/**
 * `moved`, but for codes with exponent 0, whose value is m / 2^k `least`: (1 + m / 2^k) least - least, which is exact.
 */
// @ts-ignore: decorator
@inline
function withSubnormals(magnitude: v128, moved: v128, least: v128): v128 {
  const subnormal = f32x4.sub(i32x4.add(moved, i32x4.splat(1 << 23)), least);
  return v128.bitselect(subnormal, moved, i32x4.lt_s(magnitude, i32x4.splat(1 << 23)));
}
