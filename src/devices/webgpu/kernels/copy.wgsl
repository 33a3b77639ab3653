// Target <- scale op(source) on views. `identity` writes the identity matrix instead and ignores the source.

struct Params {
  rows: u32, columns: u32, sourceOffset: u32, sourceStride: u32,
  targetOffset: u32, targetStride: u32, scale: f32, identityDiagonal: i32,
}

override transposed: bool = false;
override identity: bool = false;

@group(0) @binding(0) var<storage, read> source: array<f32>;
@group(0) @binding(1) var<storage, read_write> goal: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(16, 16)
fn main(@builtin(global_invocation_id) at: vec3u) {
  let row = at.y;
  let column = at.x;
  if (row >= p.rows || column >= p.columns) { return; }
  let to = p.targetOffset + row * p.targetStride + column;
  if (identity) {
    // The diagonal may start to the left of this block of rows.
    goal[to] = select(0.0, p.scale, i32(column) == i32(row) + p.identityDiagonal);
    return;
  }
  goal[to] = p.scale * source[p.sourceOffset + select(row * p.sourceStride + column, column * p.sourceStride + row, transposed)];
}
