// Copies the diagonal and the superdiagonal, n numbers each, from the band storage of chase.wgsl.

struct Params { n: u32 }

@group(0) @binding(0) var<storage, read> band: array<f32>;
@group(0) @binding(1) var<storage, read_write> diagonals: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

const B = 32u;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3u) {
  if (at.x >= p.n) { return; }
  diagonals[at.x] = band[at.x * 3u * B + B];
  diagonals[p.n + at.x] = band[at.x * 3u * B + B + 1u];
}
