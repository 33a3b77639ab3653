// C = alpha op(A) op(B) + beta C for one thread, row-major f32, leading dimensions in elements.
//
// Goto's scheme: op(B) is packed in panels of NR columns (a kc x NR panel stays in L1), op(A) in panels of MR rows (an MC x kc block
// stays in L2), and a micro kernel keeps an MR x NR tile of C in registers. The wide build has NR = 16: V8's revectorizer turns its
// pairs of 128-bit operations into 256-bit ones. Without that it would spill, so the other builds have NR = 8.
import { fma } from './fma';

const MR: i32 = 6;
export const NR: i32 = WIDE ? 16 : 8;
const KC: i32 = 256;
const MC: i32 = 96;
const NC: i32 = 512;
const TILE_BYTES: i32 = 6 * 16 * 4;

/** Bytes of scratch that one thread's `gemm` needs. */
export function gemmScratch(): i32 {
  return TILE_BYTES + (MC * KC + (NC + 16) * KC) * 4 + 64;
}

export function gemm(
  m: i32, n: i32, k: i32, alpha: f32,
  a: usize, lda: i32, transposeA: i32,
  b: usize, ldb: i32, transposeB: i32,
  beta: f32, c: usize, ldc: i32, scratch: usize,
): void {
  if (m <= 0 || n <= 0) return;
  if (beta != 1 && (beta != 0 || k <= 0 || alpha == 0)) scale(m, n, beta, c, ldc);
  if (k <= 0 || alpha == 0) return;
  const tile = scratch;
  const packedA = scratch + TILE_BYTES;
  const packedB = packedA + ((MC * KC) << 2);
  for (let jc = 0; jc < n; jc += NC) {
    const nc = min(n - jc, NC);
    for (let pc = 0; pc < k; pc += KC) {
      const kc = min(k - pc, KC);
      const overwrite = pc == 0 && beta == 0;
      if (transposeB) packTransposed(b + ((<usize>jc * ldb + pc) << 2), ldb, nc, kc, packedB, NR, 1);
      else packRows(b + ((<usize>pc * ldb + jc) << 2), ldb, kc, nc, packedB, NR, 1);
      for (let ic = 0; ic < m; ic += MC) {
        const mc = min(m - ic, MC);
        if (transposeA) packRows(a + ((<usize>pc * lda + ic) << 2), lda, kc, mc, packedA, MR, alpha);
        else packTransposed(a + ((<usize>ic * lda + pc) << 2), lda, mc, kc, packedA, MR, alpha);
        for (let j = 0; j < nc; j += NR) {
          const panelB = packedB + ((<usize>j * kc) << 2);
          for (let i = 0; i < mc; i += MR) {
            const out = c + ((<usize>(ic + i) * ldc + jc + j) << 2);
            const panelA = packedA + ((<usize>i * kc) << 2);
            if (mc - i >= MR && nc - j >= NR) {
              if (WIDE) micro16(kc, panelA, panelB, out, <usize>ldc << 2, tile, overwrite);
              else micro8(kc, panelA, panelB, out, <usize>ldc << 2, overwrite);
            } else {
              if (WIDE) micro16(kc, panelA, panelB, tile, 64, tile, true);
              else micro8(kc, panelA, panelB, tile, 32, true);
              addTile(min(mc - i, MR), min(nc - j, NR), tile, out, ldc, overwrite);
            }
          }
        }
      }
    }
  }
}

function scale(m: i32, n: i32, beta: f32, c: usize, ldc: i32): void {
  for (let i = 0; i < m; i++) {
    const row = c + ((<usize>i * ldc) << 2);
    if (beta == 0) memory.fill(row, 0, <usize>n << 2);
    else for (let j = 0; j < n; j++) store<f32>(row + (<usize>j << 2), beta * load<f32>(row + (<usize>j << 2)));
  }
}

function addTile(m: i32, n: i32, tile: usize, c: usize, ldc: i32, overwrite: bool): void {
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      const p = c + ((<usize>i * ldc + j) << 2);
      const v = load<f32>(tile + ((<usize>(i * NR + j)) << 2));
      store<f32>(p, overwrite ? v : load<f32>(p) + v);
    }
  }
}

/** Panels of `width` columns of the k x n block at `source`, each panel k-major, padded with zeros. */
function packRows(source: usize, ld: i32, k: i32, n: i32, out: usize, width: i32, alpha: f32): void {
  const step = <usize>ld << 2;
  const factor = f32x4.splat(alpha);
  for (let j = 0; j < n; j += width) {
    const w = min(n - j, width);
    let from = source + (<usize>j << 2);
    if (w == 16 && width == 16) {
      for (let p = 0; p < k; p++) {
        v128.store(out, v128.load(from));
        v128.store(out, v128.load(from, 16), 16);
        v128.store(out, v128.load(from, 32), 32);
        v128.store(out, v128.load(from, 48), 48);
        from += step;
        out += 64;
      }
    } else if (w == 8 && width == 8) {
      for (let p = 0; p < k; p++) {
        v128.store(out, v128.load(from));
        v128.store(out, v128.load(from, 16), 16);
        from += step;
        out += 32;
      }
    } else if (w == 6 && width == 6) {
      for (let p = 0; p < k; p++) {
        v128.store(out, f32x4.mul(factor, v128.load(from)));
        v128.store64_lane(out, f32x4.mul(factor, v128.load64_zero(from, 16)), 0, 16);
        from += step;
        out += 24;
      }
    } else {
      for (let p = 0; p < k; p++) {
        for (let i = 0; i < width; i++) {
          store<f32>(out, i < w ? alpha * load<f32>(from + (<usize>i << 2)) : 0);
          out += 4;
        }
        from += step;
      }
    }
  }
}

/** Panels of `width` rows of the n x k block at `source`, each panel k-major, padded with zeros. */
function packTransposed(source: usize, ld: i32, n: i32, k: i32, out: usize, width: i32, alpha: f32): void {
  const step = <usize>ld << 2;
  const stride = <usize>width << 2;
  const factor = f32x4.splat(alpha);
  for (let i = 0; i < n; i += width) {
    const rows = min(n - i, width);
    const from = source + <usize>i * step;
    let r = 0;
    for (; r + 4 <= rows; r += 4) {
      let x = from + <usize>r * step;
      let y = out + (<usize>r << 2);
      let p = 0;
      for (; p + 4 <= k; p += 4) {
        const r0 = f32x4.mul(factor, v128.load(x));
        const r1 = f32x4.mul(factor, v128.load(x + step));
        const r2 = f32x4.mul(factor, v128.load(x + 2 * step));
        const r3 = f32x4.mul(factor, v128.load(x + 3 * step));
        const s0 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
        const s1 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
        const s2 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
        const s3 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
        v128.store(y, v128.shuffle<f32>(s0, s2, 0, 1, 4, 5));
        v128.store(y + stride, v128.shuffle<f32>(s0, s2, 2, 3, 6, 7));
        v128.store(y + 2 * stride, v128.shuffle<f32>(s1, s3, 0, 1, 4, 5));
        v128.store(y + 3 * stride, v128.shuffle<f32>(s1, s3, 2, 3, 6, 7));
        x += 16;
        y += 4 * stride;
      }
      for (; p < k; p++) {
        store<f32>(y, alpha * load<f32>(x));
        store<f32>(y, alpha * load<f32>(x + step), 4);
        store<f32>(y, alpha * load<f32>(x + 2 * step), 8);
        store<f32>(y, alpha * load<f32>(x + 3 * step), 12);
        x += 4;
        y += stride;
      }
    }
    for (; r < width; r++) {
      let x = from + <usize>r * step;
      let y = out + (<usize>r << 2);
      if (r < rows) {
        for (let p = 0; p < k; p++) {
          store<f32>(y, alpha * load<f32>(x));
          x += 4;
          y += stride;
        }
      } else {
        for (let p = 0; p < k; p++) {
          store<f32>(y, 0);
          y += stride;
        }
      }
    }
    out += <usize>k * stride;
  }
}

/** A 6 x 16 tile of C over kc steps; the tile goes through memory so that all its stores stay adjacent, as the revectorizer wants them. */
function micro16(kc: i32, a: usize, b: usize, c: usize, ldc: usize, tile: usize, overwrite: bool): void {
  let c00 = f32x4.splat(0); let c01 = f32x4.splat(0); let c02 = f32x4.splat(0); let c03 = f32x4.splat(0);
  let c10 = f32x4.splat(0); let c11 = f32x4.splat(0); let c12 = f32x4.splat(0); let c13 = f32x4.splat(0);
  let c20 = f32x4.splat(0); let c21 = f32x4.splat(0); let c22 = f32x4.splat(0); let c23 = f32x4.splat(0);
  let c30 = f32x4.splat(0); let c31 = f32x4.splat(0); let c32 = f32x4.splat(0); let c33 = f32x4.splat(0);
  let c40 = f32x4.splat(0); let c41 = f32x4.splat(0); let c42 = f32x4.splat(0); let c43 = f32x4.splat(0);
  let c50 = f32x4.splat(0); let c51 = f32x4.splat(0); let c52 = f32x4.splat(0); let c53 = f32x4.splat(0);
  for (let k = 0; k < kc; k++) {
    const b0 = v128.load(b); const b1 = v128.load(b, 16); const b2 = v128.load(b, 32); const b3 = v128.load(b, 48);
    let x: v128;
    x = v128.load32_splat(a, 0); c00 = fma(x, b0, c00); c01 = fma(x, b1, c01); c02 = fma(x, b2, c02); c03 = fma(x, b3, c03);
    x = v128.load32_splat(a, 4); c10 = fma(x, b0, c10); c11 = fma(x, b1, c11); c12 = fma(x, b2, c12); c13 = fma(x, b3, c13);
    x = v128.load32_splat(a, 8); c20 = fma(x, b0, c20); c21 = fma(x, b1, c21); c22 = fma(x, b2, c22); c23 = fma(x, b3, c23);
    x = v128.load32_splat(a, 12); c30 = fma(x, b0, c30); c31 = fma(x, b1, c31); c32 = fma(x, b2, c32); c33 = fma(x, b3, c33);
    x = v128.load32_splat(a, 16); c40 = fma(x, b0, c40); c41 = fma(x, b1, c41); c42 = fma(x, b2, c42); c43 = fma(x, b3, c43);
    x = v128.load32_splat(a, 20); c50 = fma(x, b0, c50); c51 = fma(x, b1, c51); c52 = fma(x, b2, c52); c53 = fma(x, b3, c53);
    a += 24;
    b += 64;
  }
  v128.store(tile, c00, 0); v128.store(tile, c01, 16); v128.store(tile, c02, 32); v128.store(tile, c03, 48);
  v128.store(tile, c10, 64); v128.store(tile, c11, 80); v128.store(tile, c12, 96); v128.store(tile, c13, 112);
  v128.store(tile, c20, 128); v128.store(tile, c21, 144); v128.store(tile, c22, 160); v128.store(tile, c23, 176);
  v128.store(tile, c30, 192); v128.store(tile, c31, 208); v128.store(tile, c32, 224); v128.store(tile, c33, 240);
  v128.store(tile, c40, 256); v128.store(tile, c41, 272); v128.store(tile, c42, 288); v128.store(tile, c43, 304);
  v128.store(tile, c50, 320); v128.store(tile, c51, 336); v128.store(tile, c52, 352); v128.store(tile, c53, 368);
  if (c == tile) return;
  for (let i = 0; i < 6; i++) {
    if (overwrite) {
      v128.store(c, v128.load(tile, 0), 0);
      v128.store(c, v128.load(tile, 16), 16);
      v128.store(c, v128.load(tile, 32), 32);
      v128.store(c, v128.load(tile, 48), 48);
    } else {
      v128.store(c, f32x4.add(v128.load(c, 0), v128.load(tile, 0)), 0);
      v128.store(c, f32x4.add(v128.load(c, 16), v128.load(tile, 16)), 16);
      v128.store(c, f32x4.add(v128.load(c, 32), v128.load(tile, 32)), 32);
      v128.store(c, f32x4.add(v128.load(c, 48), v128.load(tile, 48)), 48);
    }
    c += ldc;
    tile += 64;
  }
}

/** A 6 x 8 tile of C over kc steps. */
function micro8(kc: i32, a: usize, b: usize, c: usize, ldc: usize, overwrite: bool): void {
  let c00 = f32x4.splat(0); let c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0); let c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0); let c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0); let c31 = f32x4.splat(0);
  let c40 = f32x4.splat(0); let c41 = f32x4.splat(0);
  let c50 = f32x4.splat(0); let c51 = f32x4.splat(0);
  for (let k = 0; k < kc; k++) {
    const b0 = v128.load(b); const b1 = v128.load(b, 16);
    let x: v128;
    x = v128.load32_splat(a, 0); c00 = fma(x, b0, c00); c01 = fma(x, b1, c01);
    x = v128.load32_splat(a, 4); c10 = fma(x, b0, c10); c11 = fma(x, b1, c11);
    x = v128.load32_splat(a, 8); c20 = fma(x, b0, c20); c21 = fma(x, b1, c21);
    x = v128.load32_splat(a, 12); c30 = fma(x, b0, c30); c31 = fma(x, b1, c31);
    x = v128.load32_splat(a, 16); c40 = fma(x, b0, c40); c41 = fma(x, b1, c41);
    x = v128.load32_splat(a, 20); c50 = fma(x, b0, c50); c51 = fma(x, b1, c51);
    a += 24;
    b += 32;
  }
  if (!overwrite) {
    let p = c;
    c00 = f32x4.add(c00, v128.load(p)); c01 = f32x4.add(c01, v128.load(p, 16)); p += ldc;
    c10 = f32x4.add(c10, v128.load(p)); c11 = f32x4.add(c11, v128.load(p, 16)); p += ldc;
    c20 = f32x4.add(c20, v128.load(p)); c21 = f32x4.add(c21, v128.load(p, 16)); p += ldc;
    c30 = f32x4.add(c30, v128.load(p)); c31 = f32x4.add(c31, v128.load(p, 16)); p += ldc;
    c40 = f32x4.add(c40, v128.load(p)); c41 = f32x4.add(c41, v128.load(p, 16)); p += ldc;
    c50 = f32x4.add(c50, v128.load(p)); c51 = f32x4.add(c51, v128.load(p, 16));
  }
  v128.store(c, c00); v128.store(c, c01, 16); c += ldc;
  v128.store(c, c10); v128.store(c, c11, 16); c += ldc;
  v128.store(c, c20); v128.store(c, c21, 16); c += ldc;
  v128.store(c, c30); v128.store(c, c31, 16); c += ldc;
  v128.store(c, c40); v128.store(c, c41, 16); c += ldc;
  v128.store(c, c50); v128.store(c, c51, 16);
}
