// C <- alpha op(A) op(B) + beta C on one thread, row-major f32, leading dimensions in elements.
//
// The scheme is Goto's (Goto and van de Geijn 2008): op(B) is packed into panels of NR columns (a kc x NR panel stays
// in L1), op(A) into panels of MR rows (an MC x kc block stays in L2), and a micro-kernel keeps an MR x NR tile of C in
// registers. In the wide build NR is 16, because V8's revectorizer fuses pairs of 128-bit operations into 256-bit ones.
// Elsewhere such a tile would spill, and NR is 8.
import { fma } from './vectors';

const MR: i32 = 6;
export const NR: i32 = WIDE ? 16 : 8;
const KC: i32 = 256;
const MC: i32 = 96;
const NC: i32 = 512;
const TILE_BYTES: i32 = 6 * 16 * 4;

/** Bytes of scratch memory that a thread needs for `gemm`. */
export function gemmScratch(): i32 {
  return TILE_BYTES + (MC * KC + (NC + 16) * KC) * 4 + 64;
}

export function gemm(
  m: i32,
  n: i32,
  k: i32,
  alpha: f32,
  a: usize,
  lda: i32,
  transposeA: i32,
  b: usize,
  ldb: i32,
  transposeB: i32,
  beta: f32,
  c: usize,
  ldc: i32,
  scratch: usize,
): void {
  if (m <= 0 || n <= 0) return;
  if (beta != 1) scale(m, n, beta, c, ldc);
  if (k <= 0 || alpha == 0) return;
  const tile = scratch;
  const packedA = scratch + TILE_BYTES;
  const packedB = packedA + ((MC * KC) << 2);
  // With few columns, packing A does not pay: its rows are read in place.
  const direct = !transposeA && alpha == 1 && n <= 6 * NR;
  // A single panel of B may be long, so that rows of A are read in long runs. The leftover rows of A still fit in the
  // packed block.
  const depth = direct && n <= NR ? (MC / MR) * KC : KC;
  for (let jc = 0; jc < n; jc += NC) {
    const nc = min(n - jc, NC);
    for (let pc = 0; pc < k; pc += depth) {
      const kc = min(k - pc, depth);
      const panelBytes = (<usize>(kc * NR)) << 2;
      if (transposeB) packTransposed(b + ((<usize>jc * ldb + pc) << 2), ldb, nc, kc, packedB, NR, 1);
      else packRows(b + ((<usize>pc * ldb + jc) << 2), ldb, kc, nc, packedB, NR, 1);
      for (let ic = 0; ic < m; ic += MC) {
        const mc = min(m - ic, MC);
        const whole = direct ? mc - (mc % MR) : 0;
        if (transposeA) packRows(a + ((<usize>pc * lda + ic) << 2), lda, kc, mc, packedA, MR, alpha);
        else if (whole < mc) {
          packTransposed(a + ((<usize>(ic + whole) * lda + pc) << 2), lda, mc - whole, kc, packedA, MR, alpha);
        }
        // Along rows of tiles, so that C is read and written in long runs.
        for (let i = 0; i < mc; i += MR) {
          const panelA = packedA + ((<usize>((i - whole) * kc)) << 2);
          const rowA = a + ((<usize>(ic + i) * lda + pc) << 2);
          let out = c + ((<usize>(ic + i) * ldc + jc) << 2);
          let panelB = packedB;
          for (let j = 0; j < nc; j += NR) {
            // Sums of at most KC products, added to C: in one of thousands of like sign, errors would pile up. With two
            // callers each, the micro-kernels stay functions of their own: here, their tiles would leave the registers.
            for (let p = 0; p < kc; p += KC) {
              const part = min(kc - p, KC);
              const b = panelB + ((<usize>(p * NR)) << 2);
              memory.fill(tile, 0, TILE_BYTES);
              if (mc - i >= MR && nc - j >= NR) {
                if (i < whole) microDirect(part, rowA + ((<usize>p) << 2), (<usize>lda) << 2, b, tile, NR << 2);
                else micro(part, panelA + ((<usize>(p * MR)) << 2), b, tile, NR << 2);
                addWholeTile(tile, out, (<usize>ldc) << 2);
              } else {
                if (i < whole) microDirect(part, rowA + ((<usize>p) << 2), (<usize>lda) << 2, b, tile, NR << 2);
                else micro(part, panelA + ((<usize>(p * MR)) << 2), b, tile, NR << 2);
                addTile(min(mc - i, MR), min(nc - j, NR), tile, out, ldc);
              }
            }
            out += NR << 2;
            panelB += panelBytes;
          }
        }
      }
    }
  }
}

function micro(kc: i32, a: usize, b: usize, c: usize, ldc: usize): void {
  if (WIDE) micro16(kc, a, b, c, ldc);
  else micro8(kc, a, b, c, ldc);
}

function microDirect(kc: i32, a: usize, lda: usize, b: usize, c: usize, ldc: usize): void {
  if (WIDE) micro16Direct(kc, a, lda, b, c, ldc);
  else micro8Direct(kc, a, lda, b, c, ldc);
}

function scale(m: i32, n: i32, beta: f32, c: usize, ldc: i32): void {
  for (let i = 0; i < m; i++) {
    const row = c + ((<usize>i * ldc) << 2);
    if (beta == 0) memory.fill(row, 0, (<usize>n) << 2);
    else for (let j = 0; j < n; j++) store<f32>(row + ((<usize>j) << 2), beta * load<f32>(row + ((<usize>j) << 2)));
  }
}

function addWholeTile(tile: usize, c: usize, ldc: usize): void {
  for (let i = 0; i < MR; i++) {
    for (let j: usize = 0; j < (<usize>NR) << 2; j += 32) {
      v128.store(c + j, f32x4.add(v128.load(c + j), v128.load(tile + j)));
      v128.store(c + j, f32x4.add(v128.load(c + j, 16), v128.load(tile + j, 16)), 16);
    }
    tile += NR << 2;
    c += ldc;
  }
}

function addTile(m: i32, n: i32, tile: usize, c: usize, ldc: i32): void {
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      const p = c + ((<usize>i * ldc + j) << 2);
      store<f32>(p, load<f32>(p) + load<f32>(tile + ((<usize>(i * NR + j)) << 2)));
    }
  }
}

/**
 * Packs the k x n block at `source` into panels of `width` columns, each k-major and padded with zeros. It takes eight
 * rows at a time across all panels; panel by panel, every row would touch a new page.
 */
function packRows(source: usize, ld: i32, k: i32, n: i32, out: usize, width: i32, alpha: f32): void {
  const step = (<usize>ld) << 2;
  const factor = f32x4.splat(alpha);
  const panelBytes = (<usize>(k * width)) << 2;
  for (let p = 0; p < k; p += 8) {
    const rows = min(8, k - p);
    let panel = out + ((<usize>(p * width)) << 2);
    for (let j = 0; j < n; j += width) {
      const w = min(n - j, width);
      let from = source + <usize>p * step + ((<usize>j) << 2);
      let to = panel;
      if (w == 16 && width == 16) {
        for (let r = 0; r < rows; r++) {
          v128.store(to, v128.load(from));
          v128.store(to, v128.load(from, 16), 16);
          v128.store(to, v128.load(from, 32), 32);
          v128.store(to, v128.load(from, 48), 48);
          from += step;
          to += 64;
        }
      } else if (w == 8 && width == 8) {
        for (let r = 0; r < rows; r++) {
          v128.store(to, v128.load(from));
          v128.store(to, v128.load(from, 16), 16);
          from += step;
          to += 32;
        }
      } else if (w == 6 && width == 6) {
        for (let r = 0; r < rows; r++) {
          v128.store(to, f32x4.mul(factor, v128.load(from)));
          v128.store64_lane(to, f32x4.mul(factor, v128.load64_zero(from, 16)), 0, 16);
          from += step;
          to += 24;
        }
      } else {
        for (let r = 0; r < rows; r++) {
          for (let i = 0; i < width; i++) {
            store<f32>(to, i < w ? alpha * load<f32>(from + ((<usize>i) << 2)) : 0);
            to += 4;
          }
          from += step;
        }
      }
      panel += panelBytes;
    }
  }
}

/** Packs the n x k block at `source` into panels of `width` rows, each k-major and padded with zeros. */
function packTransposed(source: usize, ld: i32, n: i32, k: i32, out: usize, width: i32, alpha: f32): void {
  const step = (<usize>ld) << 2;
  const stride = (<usize>width) << 2;
  const factor = f32x4.splat(alpha);
  for (let i = 0; i < n; i += width) {
    const rows = min(n - i, width);
    const from = source + <usize>i * step;
    let r = 0;
    for (; r + 4 <= rows; r += 4) {
      let x = from + <usize>r * step;
      let y = out + ((<usize>r) << 2);
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
      let y = out + ((<usize>r) << 2);
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

/** Adds kc outer products to a 6 x 16 tile of C. */
// biome-ignore format: a line for each row of the tile
function micro16(kc: i32, a: usize, b: usize, c: usize, ldc: usize): void {
  const p1 = c + ldc, p2 = p1 + ldc, p3 = p2 + ldc, p4 = p3 + ldc, p5 = p4 + ldc;
  let c00 = v128.load(c); let c01 = v128.load(c, 16); let c02 = v128.load(c, 32); let c03 = v128.load(c, 48);
  let c10 = v128.load(p1); let c11 = v128.load(p1, 16); let c12 = v128.load(p1, 32); let c13 = v128.load(p1, 48);
  let c20 = v128.load(p2); let c21 = v128.load(p2, 16); let c22 = v128.load(p2, 32); let c23 = v128.load(p2, 48);
  let c30 = v128.load(p3); let c31 = v128.load(p3, 16); let c32 = v128.load(p3, 32); let c33 = v128.load(p3, 48);
  let c40 = v128.load(p4); let c41 = v128.load(p4, 16); let c42 = v128.load(p4, 32); let c43 = v128.load(p4, 48);
  let c50 = v128.load(p5); let c51 = v128.load(p5, 16); let c52 = v128.load(p5, 32); let c53 = v128.load(p5, 48);
  for (let k = 0; k < kc; k++) {
    const b0 = v128.load(b), b1 = v128.load(b, 16), b2 = v128.load(b, 32), b3 = v128.load(b, 48);
    let x: v128;
    x = v128.load32_splat(a); c00 = fma(x, b0, c00); c01 = fma(x, b1, c01); c02 = fma(x, b2, c02); c03 = fma(x, b3, c03);
    x = v128.load32_splat(a, 4); c10 = fma(x, b0, c10); c11 = fma(x, b1, c11); c12 = fma(x, b2, c12); c13 = fma(x, b3, c13);
    x = v128.load32_splat(a, 8); c20 = fma(x, b0, c20); c21 = fma(x, b1, c21); c22 = fma(x, b2, c22); c23 = fma(x, b3, c23);
    x = v128.load32_splat(a, 12); c30 = fma(x, b0, c30); c31 = fma(x, b1, c31); c32 = fma(x, b2, c32); c33 = fma(x, b3, c33);
    x = v128.load32_splat(a, 16); c40 = fma(x, b0, c40); c41 = fma(x, b1, c41); c42 = fma(x, b2, c42); c43 = fma(x, b3, c43);
    x = v128.load32_splat(a, 20); c50 = fma(x, b0, c50); c51 = fma(x, b1, c51); c52 = fma(x, b2, c52); c53 = fma(x, b3, c53);
    a += 24;
    b += 64;
  }
  v128.store(c, c00); v128.store(c, c01, 16); v128.store(c, c02, 32); v128.store(c, c03, 48);
  v128.store(p1, c10); v128.store(p1, c11, 16); v128.store(p1, c12, 32); v128.store(p1, c13, 48);
  v128.store(p2, c20); v128.store(p2, c21, 16); v128.store(p2, c22, 32); v128.store(p2, c23, 48);
  v128.store(p3, c30); v128.store(p3, c31, 16); v128.store(p3, c32, 32); v128.store(p3, c33, 48);
  v128.store(p4, c40); v128.store(p4, c41, 16); v128.store(p4, c42, 32); v128.store(p4, c43, 48);
  v128.store(p5, c50); v128.store(p5, c51, 16); v128.store(p5, c52, 32); v128.store(p5, c53, 48);
}

/** The same with the rows of A read in place. */
// biome-ignore format: a line for each row of the tile
function micro16Direct(kc: i32, a: usize, lda: usize, b: usize, c: usize, ldc: usize): void {
  const p1 = c + ldc, p2 = p1 + ldc, p3 = p2 + ldc, p4 = p3 + ldc, p5 = p4 + ldc;
  let c00 = v128.load(c); let c01 = v128.load(c, 16); let c02 = v128.load(c, 32); let c03 = v128.load(c, 48);
  let c10 = v128.load(p1); let c11 = v128.load(p1, 16); let c12 = v128.load(p1, 32); let c13 = v128.load(p1, 48);
  let c20 = v128.load(p2); let c21 = v128.load(p2, 16); let c22 = v128.load(p2, 32); let c23 = v128.load(p2, 48);
  let c30 = v128.load(p3); let c31 = v128.load(p3, 16); let c32 = v128.load(p3, 32); let c33 = v128.load(p3, 48);
  let c40 = v128.load(p4); let c41 = v128.load(p4, 16); let c42 = v128.load(p4, 32); let c43 = v128.load(p4, 48);
  let c50 = v128.load(p5); let c51 = v128.load(p5, 16); let c52 = v128.load(p5, 32); let c53 = v128.load(p5, 48);
  let a1 = a + lda, a2 = a1 + lda, a3 = a2 + lda, a4 = a3 + lda, a5 = a4 + lda;
  for (let k = 0; k < kc; k++) {
    const b0 = v128.load(b), b1 = v128.load(b, 16), b2 = v128.load(b, 32), b3 = v128.load(b, 48);
    let x: v128;
    x = v128.load32_splat(a); c00 = fma(x, b0, c00); c01 = fma(x, b1, c01); c02 = fma(x, b2, c02); c03 = fma(x, b3, c03);
    x = v128.load32_splat(a1); c10 = fma(x, b0, c10); c11 = fma(x, b1, c11); c12 = fma(x, b2, c12); c13 = fma(x, b3, c13);
    x = v128.load32_splat(a2); c20 = fma(x, b0, c20); c21 = fma(x, b1, c21); c22 = fma(x, b2, c22); c23 = fma(x, b3, c23);
    x = v128.load32_splat(a3); c30 = fma(x, b0, c30); c31 = fma(x, b1, c31); c32 = fma(x, b2, c32); c33 = fma(x, b3, c33);
    x = v128.load32_splat(a4); c40 = fma(x, b0, c40); c41 = fma(x, b1, c41); c42 = fma(x, b2, c42); c43 = fma(x, b3, c43);
    x = v128.load32_splat(a5); c50 = fma(x, b0, c50); c51 = fma(x, b1, c51); c52 = fma(x, b2, c52); c53 = fma(x, b3, c53);
    a += 4; a1 += 4; a2 += 4; a3 += 4; a4 += 4; a5 += 4;
    b += 64;
  }
  v128.store(c, c00); v128.store(c, c01, 16); v128.store(c, c02, 32); v128.store(c, c03, 48);
  v128.store(p1, c10); v128.store(p1, c11, 16); v128.store(p1, c12, 32); v128.store(p1, c13, 48);
  v128.store(p2, c20); v128.store(p2, c21, 16); v128.store(p2, c22, 32); v128.store(p2, c23, 48);
  v128.store(p3, c30); v128.store(p3, c31, 16); v128.store(p3, c32, 32); v128.store(p3, c33, 48);
  v128.store(p4, c40); v128.store(p4, c41, 16); v128.store(p4, c42, 32); v128.store(p4, c43, 48);
  v128.store(p5, c50); v128.store(p5, c51, 16); v128.store(p5, c52, 32); v128.store(p5, c53, 48);
}

/** Adds kc outer products to a 6 x 8 tile of C. */
// biome-ignore format: a line for each row of the tile
function micro8(kc: i32, a: usize, b: usize, c: usize, ldc: usize): void {
  const p1 = c + ldc, p2 = p1 + ldc, p3 = p2 + ldc, p4 = p3 + ldc, p5 = p4 + ldc;
  let c00 = v128.load(c); let c01 = v128.load(c, 16);
  let c10 = v128.load(p1); let c11 = v128.load(p1, 16);
  let c20 = v128.load(p2); let c21 = v128.load(p2, 16);
  let c30 = v128.load(p3); let c31 = v128.load(p3, 16);
  let c40 = v128.load(p4); let c41 = v128.load(p4, 16);
  let c50 = v128.load(p5); let c51 = v128.load(p5, 16);
  for (let k = 0; k < kc; k++) {
    const b0 = v128.load(b), b1 = v128.load(b, 16);
    let x: v128;
    x = v128.load32_splat(a); c00 = fma(x, b0, c00); c01 = fma(x, b1, c01);
    x = v128.load32_splat(a, 4); c10 = fma(x, b0, c10); c11 = fma(x, b1, c11);
    x = v128.load32_splat(a, 8); c20 = fma(x, b0, c20); c21 = fma(x, b1, c21);
    x = v128.load32_splat(a, 12); c30 = fma(x, b0, c30); c31 = fma(x, b1, c31);
    x = v128.load32_splat(a, 16); c40 = fma(x, b0, c40); c41 = fma(x, b1, c41);
    x = v128.load32_splat(a, 20); c50 = fma(x, b0, c50); c51 = fma(x, b1, c51);
    a += 24;
    b += 32;
  }
  v128.store(c, c00); v128.store(c, c01, 16);
  v128.store(p1, c10); v128.store(p1, c11, 16);
  v128.store(p2, c20); v128.store(p2, c21, 16);
  v128.store(p3, c30); v128.store(p3, c31, 16);
  v128.store(p4, c40); v128.store(p4, c41, 16);
  v128.store(p5, c50); v128.store(p5, c51, 16);
}

/** The same with the rows of A read in place. */
// biome-ignore format: a line for each row of the tile
function micro8Direct(kc: i32, a: usize, lda: usize, b: usize, c: usize, ldc: usize): void {
  const p1 = c + ldc, p2 = p1 + ldc, p3 = p2 + ldc, p4 = p3 + ldc, p5 = p4 + ldc;
  let c00 = v128.load(c); let c01 = v128.load(c, 16);
  let c10 = v128.load(p1); let c11 = v128.load(p1, 16);
  let c20 = v128.load(p2); let c21 = v128.load(p2, 16);
  let c30 = v128.load(p3); let c31 = v128.load(p3, 16);
  let c40 = v128.load(p4); let c41 = v128.load(p4, 16);
  let c50 = v128.load(p5); let c51 = v128.load(p5, 16);
  let a1 = a + lda, a2 = a1 + lda, a3 = a2 + lda, a4 = a3 + lda, a5 = a4 + lda;
  for (let k = 0; k < kc; k++) {
    const b0 = v128.load(b), b1 = v128.load(b, 16);
    let x: v128;
    x = v128.load32_splat(a); c00 = fma(x, b0, c00); c01 = fma(x, b1, c01);
    x = v128.load32_splat(a1); c10 = fma(x, b0, c10); c11 = fma(x, b1, c11);
    x = v128.load32_splat(a2); c20 = fma(x, b0, c20); c21 = fma(x, b1, c21);
    x = v128.load32_splat(a3); c30 = fma(x, b0, c30); c31 = fma(x, b1, c31);
    x = v128.load32_splat(a4); c40 = fma(x, b0, c40); c41 = fma(x, b1, c41);
    x = v128.load32_splat(a5); c50 = fma(x, b0, c50); c51 = fma(x, b1, c51);
    a += 4; a1 += 4; a2 += 4; a3 += 4; a4 += 4; a5 += 4;
    b += 32;
  }
  v128.store(c, c00); v128.store(c, c01, 16);
  v128.store(p1, c10); v128.store(p1, c11, 16);
  v128.store(p2, c20); v128.store(p2, c21, 16);
  v128.store(p3, c30); v128.store(p3, c31, 16);
  v128.store(p4, c40); v128.store(p4, c41, 16);
  v128.store(p5, c50); v128.store(p5, c51, 16);
}
