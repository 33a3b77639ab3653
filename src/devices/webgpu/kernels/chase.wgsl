// One step of every active sweep in the reduction of a band to bidiagonal form. Each workgroup chases one bulge.
//
// The band of n rows and B superdiagonals is stored by rows, with room for the bulges on both sides: entry (i, j) is at
// band[i * 3 B + j - i + B]. B rows of zeros follow the last, so that every step has its full size.
// Sweep s brings row s to bidiagonal form. With c = s + 1 + t B, its step t
// It touches rows c - B .. c + B - 1 and columns c .. c + 2 B - 1. Sweep s + 1 follows three steps behind, where all
// its rows and columns come before these, so that workgroups need no synchronization (arXiv 2510.12705; Haidar, Ltaief,
// Luszczek, Dongarra 2012).
//
// Each of the 64 threads takes a row, then a column; rows of 33 and 65 numbers avoid bank conflicts. More threads would
// halve the microsecond spent here, but a dispatch takes several anyway, and software GPUs pay for each thread.

struct Params { n: u32, tick: u32, firstSweep: u32, firstReflector: u32 }

override keep: bool = false;

@group(0) @binding(0) var<storage, read_write> band: array<f32>;
// With `keep`, 2 B numbers per step of each sweep: the right reflector, then the left one, each with tau in place of
// its leading 1.
@group(0) @binding(1) var<storage, read_write> reflectors: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

const B = 32u;
const STRIDE = 3u * B;
const THREADS = 2u * B;
// Below this sum of squares, a reflector would consist of underflows; what it leaves is 1e-14 of the largest entry of
// the matrix.
const NOTHING = 1e-28;

// Rows c - B .. c - 1 of columns c .. c + B - 1, then rows c .. c + B - 1 of columns c .. c + 2 B - 1.
const UPPER = B + 1u;
const LOWER = 2u * B + 1u;
const LOWER_AT = B * UPPER;
var<workgroup> tile: array<f32, 3136>;
var<workgroup> v: array<f32, 32>;
var<workgroup> tau: f32;
var<workgroup> beta: f32;

fn place(row: u32, column: u32) -> u32 { return row * STRIDE + column + B - row; }

// Reflectors are numbered from the last sweep to the first: the `later` sweeps have floor(i / B) + 1 each, i = 0 ..
// later - 1.
fn reflectorOf(sweep: u32, t: u32) -> u32 {
  let later = p.n - 2u - sweep;
  let a = later / B;
  return a * (a + 1u) / 2u * B + later % B * (a + 1u) + t - p.firstReflector;
}

// Refined with a fused multiply-add: WebGPU guarantees less, and the errors of 100,000 reflectors add up.
fn quotient(a: f32, b: f32) -> f32 { let q = a / b; return q + fma(-q, b, a) / b; }
fn root(a: f32) -> f32 { let r = sqrt(a); return r + 0.5 * fma(-r, r, a) / r; }

// The reflector that clears all but the first of B numbers `step` apart: v with its leading 1, tau and beta. One thread
// per entry.
fn reflect(thread: u32, at: u32, step: u32) {
  if (thread >= B) { return; }
  var sum = vec4f();
  for (var i = 0u; i < B; i += 4u) {
    let base = at + i * step;
    let first = select(tile[base], 0.0, i == 0u);
    let x = vec4f(first, tile[base + step], tile[base + 2u * step], tile[base + 3u * step]);
    sum = fma(x, x, sum);
  }
  let below = (sum.x + sum.y) + (sum.z + sum.w);
  let alpha = tile[at];
  var diagonal = alpha;
  var factor = 0.0;
  var x = 0.0;
  // Not `below > NOTHING`, so that NaN propagates.
  if (!(below <= NOTHING)) {
    let norm = root(fma(alpha, alpha, below));
    diagonal = select(norm, -norm, alpha >= 0.0);
    factor = quotient(diagonal - alpha, diagonal);
    x = quotient(tile[at + thread * step], alpha - diagonal);
  }
  v[thread] = select(x, 1.0, thread == 0u);
  if (thread == 0u) {
    tau = factor;
    beta = diagonal;
  }
}

fn keepReflector(thread: u32, number: u32) {
  if (keep && thread < B) { reflectors[number * B + thread] = select(v[thread], tau, thread == 0u); }
}

// Applies I - tau v v^T to B numbers.
fn apply(at: u32, step: u32) {
  var sum = vec4f();
  for (var i = 0u; i < B; i += 4u) {
    let base = at + i * step;
    let x = vec4f(tile[base], tile[base + step], tile[base + 2u * step], tile[base + 3u * step]);
    sum = fma(x, vec4f(v[i], v[i + 1u], v[i + 2u], v[i + 3u]), sum);
  }
  let w = -tau * ((sum.x + sum.y) + (sum.z + sum.w));
  for (var i = 0u; i < B; i++) { tile[at + i * step] = fma(w, v[i], tile[at + i * step]); }
}

// Writes what the reflector makes of the numbers it was computed from.
fn clear(at: u32, step: u32) {
  tile[at] = beta;
  for (var i = 1u; i < B; i++) { tile[at + i * step] = 0.0; }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let sweep = p.firstSweep + group.x;
  let t = p.tick - 3u * sweep;
  let c = sweep + 1u + t * B;
  // The first step of a sweep has one row above the block, all others B.
  let firstRow = select(0u, B - 1u, t == 0u);

  for (var i = thread; i < B * B; i += THREADS) {
    let row = i / B;
    if (row >= firstRow) { tile[row * UPPER + i % B] = band[place(c + row - B, c + i % B)]; }
  }
  for (var i = thread; i < 2u * B * B; i += THREADS) {
    let row = i / (2u * B);
    let column = i % (2u * B);
    tile[LOWER_AT + row * LOWER + column] = band[place(c + row, c + column)];
  }
  workgroupBarrier();

  reflect(thread, firstRow * UPPER, 1u);
  workgroupBarrier();
  keepReflector(thread, 2u * reflectorOf(sweep, t));
  let inRow = select(LOWER_AT + (thread - B) * LOWER, thread * UPPER, thread < B);
  if (thread > firstRow) { apply(inRow, 1u); }
  if (thread == firstRow) { clear(inRow, 1u); }
  workgroupBarrier();

  reflect(thread, LOWER_AT, LOWER);
  workgroupBarrier();
  keepReflector(thread, 2u * reflectorOf(sweep, t) + 1u);
  if (thread > 0u) { apply(LOWER_AT + thread, LOWER); } else { clear(LOWER_AT, LOWER); }
  workgroupBarrier();

  for (var i = thread; i < B * B; i += THREADS) {
    let row = i / B;
    if (row >= firstRow) { band[place(c + row - B, c + i % B)] = tile[row * UPPER + i % B]; }
  }
  for (var i = thread; i < 2u * B * B; i += THREADS) {
    let row = i / (2u * B);
    let column = i % (2u * B);
    band[place(c + row, c + column)] = tile[LOWER_AT + row * LOWER + column];
  }
}
