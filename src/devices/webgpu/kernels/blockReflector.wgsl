// The triangular factor T of a block reflector I - V T V^T from S = V^T V and tau (LAPACK's larft, forward,
// columnwise). Row i of T depends only on itself, so each thread computes a row.

struct Params { w: u32, pad0: u32, pad1: u32, pad2: u32 }

@group(0) @binding(0) var<storage, read> S: array<f32>;
@group(0) @binding(1) var<storage, read> tau: array<f32>;
@group(0) @binding(2) var<storage, read_write> T: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(32)
fn main(@builtin(local_invocation_index) i: u32) {
  let w = p.w;
  if (i >= w) { return; }
  for (var j = 0u; j < i; j++) { T[i * w + j] = 0.0; }
  T[i * w + i] = tau[i];
  for (var j = i + 1u; j < w; j++) {
    var sum = 0.0;
    for (var k = i; k < j; k++) { sum = fma(T[i * w + k], S[k * w + j], sum); }
    T[i * w + j] = -tau[j] * sum;
  }
}
