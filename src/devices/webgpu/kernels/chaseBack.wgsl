// C <- H_1 H_2 ... H_G C for the reflectors that chase.wgsl kept of G consecutive sweeps; one workgroup takes 64
// columns of C.
//
// Reflector (s, t) comes before (s + 1, t) and (s + 1, t - 1), and commutes with those of all other steps. A group can
// thus be applied with t ascending and, for each t, the sweeps descending (Haidar, Luszczek, Dongarra 2014). The
// reflectors of one t touch B + G - 1 rows, which stay in workgroup memory meanwhile. Each thread has a column of its
// own, so only the reflectors are shared.

struct Params { n: u32, columns: u32, firstSweep: u32, sweeps: u32, steps: u32, firstReflector: u32, side: u32 }

@group(0) @binding(0) var<storage, read_write> C: array<f32>;
@group(0) @binding(1) var<storage, read> reflectors: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

const B = 32u;
const G = 16u;
const ROWS = B + G - 1u;
const COLUMNS = 64u;

var<workgroup> rows: array<f32, 3008>; // ROWS x COLUMNS
var<workgroup> v: array<f32, 512>; // G x B, with tau in place of each leading 1

// As in chase.wgsl.
fn reflectorOf(sweep: u32, t: u32) -> u32 {
  let later = p.n - 2u - sweep;
  let a = later / B;
  return a * (a + 1u) / 2u * B + later % B * (a + 1u) + t - p.firstReflector;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let column = group.x * COLUMNS + thread;
  for (var t = 0u; t < p.steps; t++) {
    let top = p.firstSweep + 1u + t * B;
    for (var i = thread; i < G * B; i += COLUMNS) {
      let sweep = p.firstSweep + i / B;
      var x = 0.0;
      if (i / B < p.sweeps && sweep + 1u + t * B < p.n) { x = reflectors[(2u * reflectorOf(sweep, t) + p.side) * B + i % B]; }
      v[i] = x;
    }
    if (column < p.columns) {
      for (var i = 0u; i < ROWS; i++) {
        var x = 0.0;
        if (top + i < p.n) { x = C[(top + i) * p.columns + column]; }
        rows[i * COLUMNS + thread] = x;
      }
    }
    workgroupBarrier();
    if (column < p.columns) {
      for (var g = i32(p.sweeps) - 1; g >= 0; g--) {
        let tau = v[u32(g) * B];
        if (tau == 0.0) { continue; }
        let at = u32(g) * COLUMNS + thread;
        var sum = vec2f(rows[at], rows[at + COLUMNS] * v[u32(g) * B + 1u]);
        for (var k = 2u; k < B; k += 2u) {
          let x = vec2f(rows[at + k * COLUMNS], rows[at + (k + 1u) * COLUMNS]);
          sum = fma(x, vec2f(v[u32(g) * B + k], v[u32(g) * B + k + 1u]), sum);
        }
        let w = -tau * (sum.x + sum.y);
        rows[at] += w;
        for (var k = 1u; k < B; k++) { rows[at + k * COLUMNS] = fma(w, v[u32(g) * B + k], rows[at + k * COLUMNS]); }
      }
      for (var i = 0u; i < ROWS; i++) {
        if (top + i < p.n) { C[(top + i) * p.columns + column] = rows[i * COLUMNS + thread]; }
      }
    }
    // The next reflectors replace these.
    workgroupBarrier();
  }
}
