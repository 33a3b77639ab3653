// Decoding of stored floats to f32 by integer arithmetic on their bits, because a GPU may flush subnormals and need not
// honour NaN. The same pass computes, for each workgroup, the sum of squares and the bits of the largest magnitude,
// which are ordered as the values, with infinity and NaN on top.

// `KERNEL_ENCODING` of decoding.ts.
const F32 = 0u;
const BF16 = 1u;
const F16 = 2u;
const F8_E4M3 = 3u;

// Numbers per thread. The threads of a workgroup take adjacent numbers, so that their accesses coalesce.
const EACH = 8u;

struct Params {
  count: u32, target_at: u32, groups_at: u32, unused: u32,
}

override encoding: u32 = 0;

@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> goal: array<u32>;
@group(0) @binding(2) var<storage, read_write> sums: array<vec2u>;
@group(0) @binding(3) var<uniform> p: Params;

var<workgroup> squares: array<f32, 256>;
var<workgroup> largest: array<u32, 256>;

fn half(code: u32) -> u32 {
  return widen((code & 0x7fffu) << 13, 112u, 31u << 23, 224u << 23, 0.00006103515625) | ((code & 0x8000u) << 16);
}

// `magnitude` with its exponent rebiased. `least` is the least normal value; a subnormal m least is (1 + m) least -
// least.
fn widen(magnitude: u32, bias: u32, special: u32, special_bias: u32, least: f32) -> u32 {
  if (magnitude >= special) { return magnitude + special_bias; }
  let moved = magnitude + (bias << 23);
  if (magnitude >= (1u << 23)) { return moved; }
  return bitcast<u32>(bitcast<f32>(moved + (1u << 23)) - least);
}

fn entry(i: u32) -> u32 {
  switch encoding {
    case BF16: { return ((source[i >> 1] >> ((i & 1) << 4)) & 0xffffu) << 16; }
    case F16: { return half((source[i >> 1] >> ((i & 1) << 4)) & 0xffffu); }
    case F32: { return source[i]; }
    default: {
      let code = (source[i >> 2] >> ((i & 3) << 3)) & 0xffu;
      // E5M2 is F16 without its lower byte; the only NaN of E4M3 has all bits set.
      if (encoding != F8_E4M3) { return half(code << 8); }
      let sign = (code & 0x80u) << 24;
      if ((code & 0x7fu) == 0x7fu) { return sign | 0x7fc00000u; }
      return sign | widen((code & 0x7fu) << 20, 120u, 0x7fffffffu, 0u, 0.015625);
    }
  }
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  var sum = 0.0;
  var most = 0u;
  for (var k = 0u; k < EACH; k++) {
    let i = (group.x * EACH + k) * 256 + thread;
    if (i < p.count) {
      let bits = entry(i);
      goal[p.target_at + i] = bits;
      let value = bitcast<f32>(bits);
      most = max(most, bits & 0x7fffffffu);
      sum += value * value;
    }
  }
  squares[thread] = sum;
  largest[thread] = most;
  for (var width = 128u; width > 0; width >>= 1) {
    workgroupBarrier();
    if (thread < width) {
      squares[thread] += squares[thread + width];
      largest[thread] = max(largest[thread], largest[thread + width]);
    }
  }
  if (thread == 0) { sums[p.groups_at + group.x] = vec2u(bitcast<u32>(squares[0]), largest[0]); }
}
