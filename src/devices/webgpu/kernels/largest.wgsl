// The bits of the largest magnitude in a block of rows: non-negative floats are ordered as their bits, with NaN above
// infinity.

struct Params { count: u32, pad0: u32, pad1: u32, pad2: u32 }

@group(0) @binding(0) var<storage, read> values: array<f32>;
@group(0) @binding(1) var<storage, read_write> result: atomic<u32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3u, @builtin(num_workgroups) groups: vec3u) {
  var largest = 0u;
  for (var i = at.x; i < p.count; i += groups.x * 256u) { largest = max(largest, bitcast<u32>(values[i]) & 0x7fffffffu); }
  if (largest > 0u) { atomicMax(&result, largest); }
}
