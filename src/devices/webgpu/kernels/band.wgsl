// Copies a w x w block into the band storage of chase.wgsl: the triangle R of a column panel goes on the diagonal, the
// transposed (lower) triangle of a row panel beside it.

struct Params { w: u32, start: u32, shift: u32, rows: u32, columns: u32 }

override transposed: bool = false;

@group(0) @binding(0) var<storage, read> block: array<f32>;
@group(0) @binding(1) var<storage, read_write> band: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

const B = 32u;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3u) {
  let row = at.x / p.w;
  let column = at.x % p.w;
  if (row >= p.rows || column >= p.columns) { return; }
  let offset = i32(p.shift + column) - i32(row);
  if (offset < 0 || offset > i32(B)) { return; }
  let value = block[select(row * p.w + column, column * p.w + row, transposed)];
  band[(p.start + row) * 3u * B + B + u32(offset)] = value;
}
