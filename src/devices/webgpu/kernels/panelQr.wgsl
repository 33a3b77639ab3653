// Householder QR of a panel of m rows and w columns, w <= 32, by one workgroup (LAPACK's geqr2 with the sign rule of
// larfg). The columns of the panel are contiguous: P[c * m + i]. On return P holds the reflectors with their unit
// diagonal and zeros above it, R the triangle (w x w, row-major, zeros below), tau the w factors. Reflectors past the
// last row are zero.

struct Params { m: u32, w: u32, pad0: u32, pad1: u32 }

override THREADS: u32 = 256u;

@group(0) @binding(0) var<storage, read_write> P: array<f32>;
@group(0) @binding(1) var<storage, read_write> R: array<f32>;
@group(0) @binding(2) var<storage, read_write> tau: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

const WIDTH = 32u;
var<workgroup> partial: array<f32, 1024>;
var<workgroup> weight: array<f32, 32>;
var<workgroup> diagonal: array<f32, 32>;
var<workgroup> scale: f32;
var<workgroup> factor: f32;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32) {
  let m = p.m;
  let lanes = THREADS / WIDTH;
  let column = thread / lanes;
  let lane = thread % lanes;

  for (var j = 0u; j < p.w; j++) {
    if (j < m) {
      // Columns are scaled by their largest magnitude, so that squares neither vanish nor overflow.
      var most = 0.0;
      for (var i = j + thread; i < m; i += THREADS) { most = max(most, abs(P[j * m + i])); }
      partial[thread] = most;
      workgroupBarrier();
      for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        if (thread < half) { partial[thread] = max(partial[thread], partial[thread + half]); }
        workgroupBarrier();
      }
      let largest = partial[0];
      let unit = select(1.0, 1.0 / largest, largest > 0.0);
      workgroupBarrier();

      // The squared norm below the diagonal, scaled.
      var sum = 0.0;
      for (var i = j + 1u + thread; i < m; i += THREADS) { let x = P[j * m + i] * unit; sum = fma(x, x, sum); }
      partial[thread] = sum;
      workgroupBarrier();
      for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        if (thread < half) { partial[thread] += partial[thread + half]; }
        workgroupBarrier();
      }
      if (thread == 0u) {
        let alpha = P[j * m + j] * unit;
        let below = partial[0];
        diagonal[j] = P[j * m + j];
        factor = 0.0;
        scale = 0.0;
        // Not `below > 0.0`, so that NaN propagates.
        if (!(below <= 0.0)) {
          let norm = sqrt(fma(alpha, alpha, below));
          let beta = select(norm, -norm, alpha >= 0.0);
          factor = (beta - alpha) / beta;
          scale = 1.0 / (alpha - beta);
          diagonal[j] = beta * largest;
        }
        tau[j] = factor;
      }
      workgroupBarrier();
      let s = scale;
      for (var i = j + 1u + thread; i < m; i += THREADS) { P[j * m + i] = P[j * m + i] * unit * s; }
      storageBarrier();
      workgroupBarrier();

      // Applies I - tau v v^T to the columns on the right, with `lanes` threads per column.
      var dot = 0.0;
      if (column > j && column < p.w) {
        for (var i = j + 1u + lane; i < m; i += lanes) { dot = fma(P[j * m + i], P[column * m + i], dot); }
      }
      partial[thread] = dot;
      workgroupBarrier();
      if (lane == 0u && column > j && column < p.w) {
        var total = P[column * m + j];
        for (var l = 0u; l < lanes; l++) { total += partial[thread + l]; }
        weight[column] = factor * total;
        P[column * m + j] -= factor * total;
      }
      workgroupBarrier();
      if (column > j && column < p.w) {
        let w = weight[column];
        for (var i = j + 1u + lane; i < m; i += lanes) { P[column * m + i] = fma(-w, P[j * m + i], P[column * m + i]); }
      }
      storageBarrier();
      workgroupBarrier();
    }
  }

  for (var i = thread; i < p.w * p.w; i += THREADS) {
    let row = i / p.w;
    let c = i % p.w;
    var value = 0.0;
    if (row < m && row == c) { value = diagonal[row]; }
    if (row < m && row < c) { value = P[c * m + row]; }
    R[i] = value;
  }
  storageBarrier();
  workgroupBarrier();
  for (var i = thread; i < p.w * p.w; i += THREADS) {
    let row = i / p.w;
    let c = i % p.w;
    if (row < m && row <= c) { P[c * m + row] = select(0.0, 1.0, row == c); }
  }
  if (thread < p.w && thread >= m) { tau[thread] = 0.0; }
}
