// C <- alpha op(A) op(B) + beta C on views, each an offset and a leading dimension into a row-major buffer. A workgroup
// computes a 64 x 64 tile of C and each thread 4 x 4 of it; tiles of A and B pass through workgroup memory, 16 deep.
// The transposes only change how a tile is fetched, always along the rows of the stored matrix.

struct Params {
  m: u32, n: u32, k: u32, pad: u32,
  aOffset: u32, lda: u32, bOffset: u32, ldb: u32,
  cOffset: u32, ldc: u32, alpha: f32, beta: f32,
}

override transposeA: bool = false;
override transposeB: bool = false;

@group(0) @binding(0) var<storage, read> A: array<f32>;
@group(0) @binding(1) var<storage, read> B: array<f32>;
@group(0) @binding(2) var<storage, read_write> C: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

const TILE = 64u;
const DEPTH = 16u;
var<workgroup> tileA: array<f32, 1024>; // [depth][row]
var<workgroup> tileB: array<f32, 1024>; // [depth][column]

fn fetchA(row: u32, depth: u32) -> f32 {
  if (row >= p.m || depth >= p.k) { return 0.0; }
  return A[p.aOffset + select(row * p.lda + depth, depth * p.lda + row, transposeA)];
}

fn fetchB(depth: u32, column: u32) -> f32 {
  if (column >= p.n || depth >= p.k) { return 0.0; }
  return B[p.bOffset + select(depth * p.ldb + column, column * p.ldb + depth, transposeB)];
}

@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) thread: vec3u, @builtin(local_invocation_index) index: u32) {
  let row0 = group.y * TILE;
  let column0 = group.x * TILE;
  var sum: array<vec4f, 4>;

  for (var depth0 = 0u; depth0 < p.k; depth0 += DEPTH) {
    for (var i = index; i < TILE * DEPTH; i += 256u) {
      let deepA = select(vec2u(i / DEPTH, i % DEPTH), vec2u(i % TILE, i / TILE), transposeA); // (row, depth)
      tileA[deepA.y * TILE + deepA.x] = fetchA(row0 + deepA.x, depth0 + deepA.y);
      let deepB = select(vec2u(i % TILE, i / TILE), vec2u(i / DEPTH, i % DEPTH), transposeB); // (column, depth)
      tileB[deepB.y * TILE + deepB.x] = fetchB(depth0 + deepB.y, column0 + deepB.x);
    }
    workgroupBarrier();
    for (var d = 0u; d < DEPTH; d++) {
      let a = d * TILE + thread.y * 4u;
      let b = d * TILE + thread.x * 4u;
      let right = vec4f(tileB[b], tileB[b + 1u], tileB[b + 2u], tileB[b + 3u]);
      sum[0] = fma(vec4f(tileA[a]), right, sum[0]);
      sum[1] = fma(vec4f(tileA[a + 1u]), right, sum[1]);
      sum[2] = fma(vec4f(tileA[a + 2u]), right, sum[2]);
      sum[3] = fma(vec4f(tileA[a + 3u]), right, sum[3]);
    }
    workgroupBarrier();
  }

  for (var i = 0u; i < 4u; i++) {
    let row = row0 + thread.y * 4u + i;
    for (var j = 0u; j < 4u; j++) {
      let column = column0 + thread.x * 4u + j;
      if (row < p.m && column < p.n) {
        let at = p.cOffset + row * p.ldc + column;
        // With beta = 0 the old content, which may be NaN, is not read.
        var old = 0.0;
        if (p.beta != 0.0) { old = p.beta * C[at]; }
        C[at] = fma(p.alpha, sum[i][j], old);
      }
    }
  }
}
