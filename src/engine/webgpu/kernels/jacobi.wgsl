// One step of one-sided Jacobi: every workgroup makes one pair of rows of G orthogonal and turns the same rows of J with them.
// The pairs of a step are disjoint (a round-robin tournament: player 0 stays, the others move round), so a step is one dispatch.
// Demmel and Veselic, SIAM J. Matrix Anal. Appl. 13 (1992). `worst` keeps the largest cosine met, as float bits.

struct Params { players: u32, step: u32, rows: u32, gColumns: u32, jColumns: u32, tolerance: f32, smallest: f32, pad: u32 }

@group(0) @binding(0) var<storage, read_write> G: array<f32>;
@group(0) @binding(1) var<storage, read_write> J: array<f32>;
@group(0) @binding(2) var<storage, read_write> worst: atomic<u32>;
@group(0) @binding(3) var<uniform> p: Params;

const THREADS = 64u;
var<workgroup> partial: array<vec3f, 64>;
var<workgroup> rotation: vec2f; // tan of half the angle, sin of it

fn player(place: u32) -> u32 {
  if (place == 0u) { return 0u; }
  return 1u + (place - 1u + p.step) % (p.players - 1u);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let first = player(group.x);
  let second = player(p.players - 1u - group.x);
  let a = min(first, second);
  let b = max(first, second);
  let paired = b < p.rows; // an odd count leaves one row without a partner

  var sums = vec3f();
  if (paired) {
    for (var i = thread; i < p.gColumns; i += THREADS) {
      let x = G[a * p.gColumns + i];
      let y = G[b * p.gColumns + i];
      sums = fma(vec3f(x, y, x), vec3f(x, y, y), sums);
    }
  }
  partial[thread] = sums;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) { partial[thread] += partial[thread + half]; }
    workgroupBarrier();
  }
  if (thread == 0u) {
    rotation = vec2f();
    let total = partial[0];
    // Roots first: the product of two squared norms would underflow.
    let lengths = sqrt(total.xy);
    let scale = lengths.x * lengths.y;
    if (paired && max(lengths.x, lengths.y) > p.smallest && scale > 0.0) {
      let cosine = abs(total.z) / scale;
      if (cosine > p.tolerance) {
        atomicMax(&worst, bitcast<u32>(cosine));
        let zeta = (total.y - total.x) / (2.0 * total.z);
        let t = select(-1.0, 1.0, zeta >= 0.0) / (abs(zeta) + sqrt(fma(zeta, zeta, 1.0)));
        let c = 1.0 / sqrt(fma(t, t, 1.0));
        rotation = vec2f(c * t / (1.0 + c), c * t);
      }
    }
  }
  workgroupBarrier();
  // Rutishauser's form of the rotation, x - s (y + tau x): a small angle makes a small rounding error.
  let tau = rotation.x;
  let s = rotation.y;
  if (s == 0.0) { return; }
  for (var i = thread; i < p.gColumns; i += THREADS) {
    let x = G[a * p.gColumns + i];
    let y = G[b * p.gColumns + i];
    G[a * p.gColumns + i] = fma(-s, fma(tau, x, y), x);
    G[b * p.gColumns + i] = fma(s, fma(-tau, y, x), y);
  }
  for (var i = thread; i < p.jColumns; i += THREADS) {
    let x = J[a * p.jColumns + i];
    let y = J[b * p.jColumns + i];
    J[a * p.jColumns + i] = fma(-s, fma(tau, x, y), x);
    J[b * p.jColumns + i] = fma(s, fma(-tau, y, x), y);
  }
}
