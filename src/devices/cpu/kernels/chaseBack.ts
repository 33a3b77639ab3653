// Takes vectors of the bidiagonal matrix back to the band: C <- H_1 H_2 ... C for the reflectors that a chase kept.
//
// The reflectors of one step in four consecutive sweeps are one block I - V T V^T, which acts on b + 3 rows. It is
// applied to a few columns at a time, whose products with V stay in registers. Wider blocks would reach more rows with
// zeros: with 36 sweeps, half of all multiplications. `mergeReflectors` makes such blocks for a BLAS that is worth it.
import { fma, sum } from './vectors';

/** Sweeps per block. */
const GROUP: i32 = 4;
/** Columns whose products with V fit into the registers. */
const CHUNK: i32 = WIDE ? 16 : 8;

/** Bytes of a block: b + 4 rows of four entries of V, and -T. */
function blockBytes(b: i32): usize {
  return (<usize>((b + 4) * GROUP + GROUP * GROUP)) << 2;
}

/**
 * Forms the blocks of the sweeps from 4 `group` on.
 * @param reflectors of one side, and `taus` of that side, as `chase` keeps them
 * @param out the blocks of all groups, one row of them for each
 */
export function formChaseBlocks(group: i32, n: i32, b: i32, reflectors: usize, taus: usize, out: usize): void {
  const steps = (n - 2) / b + 1;
  const width = n + b + 16;
  const first = group * GROUP;
  out += <usize>(group * steps) * blockBytes(b);
  for (let t = 0; t < steps; t++) {
    const top = first + 1 + t * b;
    if (top >= n) return;
    memory.fill(out, 0, blockBytes(b));
    const count = min(GROUP, n - 1 - first);
    const end = out + ((<usize>((b + 4) * GROUP)) << 2);
    for (let i = 0; i < count && top + i < n; i++) {
      const source = reflectors + ((<usize>(first + i) * width + top + i) << 2);
      const length = min(b, n - top - i);
      for (let r = 0; r < length; r++) {
        store<f32>(out + ((<usize>((r + i) * GROUP + i)) << 2), load<f32>(source + ((<usize>r) << 2)));
      }
      // Column i of T is -tau_i T V^T v_i above the diagonal (LAPACK's larft); the block holds -T.
      const tau = load<f32>(taus + ((<usize>((first + i) * steps + t)) << 3));
      for (let k = 0; k < i; k++) {
        let entry: f64 = 0;
        for (let l = k; l < i; l++) {
          let inner: f64 = 0;
          for (let r = i; r < b + l; r++) {
            const row = out + ((<usize>(r * GROUP)) << 2);
            inner += <f64>load<f32>(row + ((<usize>l) << 2)) * load<f32>(row + ((<usize>i) << 2));
          }
          entry += <f64>load<f32>(end + ((<usize>(k * GROUP + l)) << 2)) * inner;
        }
        store<f32>(end + ((<usize>(k * GROUP + i)) << 2), <f32>(-tau * entry));
      }
      store<f32>(end + ((<usize>(i * GROUP + i)) << 2), -tau);
    }
    out += blockBytes(b);
  }
}

/**
 * Applies the blocks of a group to `cols` columns, a multiple of 16.
 * @param c dense, with b + 4 rows of zeros below the n rows, and after them 64 numbers of workspace
 */
export function applyChaseBlocks(group: i32, n: i32, b: i32, blocks: usize, c: usize, cols: i32): void {
  const steps = (n - 2) / b + 1;
  const ld = (<usize>cols) << 2;
  const products = c + <usize>(n + b + GROUP) * ld;
  let block = blocks + <usize>(group * steps) * blockBytes(b);
  for (let top = group * GROUP + 1; top < n; top += b) {
    const rows = c + <usize>top * ld;
    for (let j = 0; j < cols; j += CHUNK) {
      if (WIDE) reflect16(b + 4, block, rows + ((<usize>j) << 2), ld, products);
      else reflect8(b + 4, block, rows + ((<usize>j) << 2), ld, products);
    }
    block += blockBytes(b);
  }
}

/**
 * C <- C - V T (V^T C) for 16 columns of `rows` rows; -T follows V.
 *
 * T V^T C takes a way through memory, because V8 would compute it anew for every row.
 */
// biome-ignore format: a line for each reflector
function reflect16(rows: i32, v: usize, c: usize, ld: usize, products: usize): void {
  const top = c;
  const first = v;
  const end = v + ((<usize>rows) << 4);
  const zero = f32x4.splat(0);
  let x: v128;
  let w00 = zero, w01 = zero, w02 = zero, w03 = zero;
  let w10 = zero, w11 = zero, w12 = zero, w13 = zero;
  let w20 = zero, w21 = zero, w22 = zero, w23 = zero;
  let w30 = zero, w31 = zero, w32 = zero, w33 = zero;
  for (; v < end; v += 16) {
    const c0 = v128.load(c), c1 = v128.load(c, 16), c2 = v128.load(c, 32), c3 = v128.load(c, 48);
    x = v128.load32_splat(v); w00 = fma(x, c0, w00); w01 = fma(x, c1, w01); w02 = fma(x, c2, w02); w03 = fma(x, c3, w03);
    x = v128.load32_splat(v, 4); w10 = fma(x, c0, w10); w11 = fma(x, c1, w11); w12 = fma(x, c2, w12); w13 = fma(x, c3, w13);
    x = v128.load32_splat(v, 8); w20 = fma(x, c0, w20); w21 = fma(x, c1, w21); w22 = fma(x, c2, w22); w23 = fma(x, c3, w23);
    x = v128.load32_splat(v, 12); w30 = fma(x, c0, w30); w31 = fma(x, c1, w31); w32 = fma(x, c2, w32); w33 = fma(x, c3, w33);
    c += ld;
  }
  x = v128.load32_splat(end); w00 = f32x4.mul(x, w00); w01 = f32x4.mul(x, w01); w02 = f32x4.mul(x, w02); w03 = f32x4.mul(x, w03);
  x = v128.load32_splat(end, 4); w00 = fma(x, w10, w00); w01 = fma(x, w11, w01); w02 = fma(x, w12, w02); w03 = fma(x, w13, w03);
  x = v128.load32_splat(end, 8); w00 = fma(x, w20, w00); w01 = fma(x, w21, w01); w02 = fma(x, w22, w02); w03 = fma(x, w23, w03);
  x = v128.load32_splat(end, 12); w00 = fma(x, w30, w00); w01 = fma(x, w31, w01); w02 = fma(x, w32, w02); w03 = fma(x, w33, w03);
  v128.store(products, w00); v128.store(products, w01, 16); v128.store(products, w02, 32); v128.store(products, w03, 48);
  x = v128.load32_splat(end, 20); w10 = f32x4.mul(x, w10); w11 = f32x4.mul(x, w11); w12 = f32x4.mul(x, w12); w13 = f32x4.mul(x, w13);
  x = v128.load32_splat(end, 24); w10 = fma(x, w20, w10); w11 = fma(x, w21, w11); w12 = fma(x, w22, w12); w13 = fma(x, w23, w13);
  x = v128.load32_splat(end, 28); w10 = fma(x, w30, w10); w11 = fma(x, w31, w11); w12 = fma(x, w32, w12); w13 = fma(x, w33, w13);
  v128.store(products, w10, 64); v128.store(products, w11, 80); v128.store(products, w12, 96); v128.store(products, w13, 112);
  x = v128.load32_splat(end, 40); w20 = f32x4.mul(x, w20); w21 = f32x4.mul(x, w21); w22 = f32x4.mul(x, w22); w23 = f32x4.mul(x, w23);
  x = v128.load32_splat(end, 44); w20 = fma(x, w30, w20); w21 = fma(x, w31, w21); w22 = fma(x, w32, w22); w23 = fma(x, w33, w23);
  v128.store(products, w20, 128); v128.store(products, w21, 144); v128.store(products, w22, 160); v128.store(products, w23, 176);
  x = v128.load32_splat(end, 60); w30 = f32x4.mul(x, w30); w31 = f32x4.mul(x, w31); w32 = f32x4.mul(x, w32); w33 = f32x4.mul(x, w33);
  v128.store(products, w30, 192); v128.store(products, w31, 208); v128.store(products, w32, 224); v128.store(products, w33, 240);
  w00 = v128.load(products); w01 = v128.load(products, 16); w02 = v128.load(products, 32); w03 = v128.load(products, 48);
  w10 = v128.load(products, 64); w11 = v128.load(products, 80); w12 = v128.load(products, 96); w13 = v128.load(products, 112);
  w20 = v128.load(products, 128); w21 = v128.load(products, 144); w22 = v128.load(products, 160); w23 = v128.load(products, 176);
  w30 = v128.load(products, 192); w31 = v128.load(products, 208); w32 = v128.load(products, 224); w33 = v128.load(products, 240);
  c = top;
  for (v = first; v < end; v += 16) {
    let c0 = v128.load(c), c1 = v128.load(c, 16), c2 = v128.load(c, 32), c3 = v128.load(c, 48);
    x = v128.load32_splat(v); c0 = fma(x, w00, c0); c1 = fma(x, w01, c1); c2 = fma(x, w02, c2); c3 = fma(x, w03, c3);
    x = v128.load32_splat(v, 4); c0 = fma(x, w10, c0); c1 = fma(x, w11, c1); c2 = fma(x, w12, c2); c3 = fma(x, w13, c3);
    x = v128.load32_splat(v, 8); c0 = fma(x, w20, c0); c1 = fma(x, w21, c1); c2 = fma(x, w22, c2); c3 = fma(x, w23, c3);
    x = v128.load32_splat(v, 12); c0 = fma(x, w30, c0); c1 = fma(x, w31, c1); c2 = fma(x, w32, c2); c3 = fma(x, w33, c3);
    v128.store(c, c0); v128.store(c, c1, 16); v128.store(c, c2, 32); v128.store(c, c3, 48);
    c += ld;
  }
}

/** The same for 8 columns. */
// biome-ignore format: a line for each reflector
function reflect8(rows: i32, v: usize, c: usize, ld: usize, products: usize): void {
  const top = c;
  const first = v;
  const end = v + ((<usize>rows) << 4);
  const zero = f32x4.splat(0);
  let x: v128;
  let w00 = zero, w01 = zero;
  let w10 = zero, w11 = zero;
  let w20 = zero, w21 = zero;
  let w30 = zero, w31 = zero;
  for (; v < end; v += 16) {
    const c0 = v128.load(c), c1 = v128.load(c, 16);
    x = v128.load32_splat(v); w00 = fma(x, c0, w00); w01 = fma(x, c1, w01);
    x = v128.load32_splat(v, 4); w10 = fma(x, c0, w10); w11 = fma(x, c1, w11);
    x = v128.load32_splat(v, 8); w20 = fma(x, c0, w20); w21 = fma(x, c1, w21);
    x = v128.load32_splat(v, 12); w30 = fma(x, c0, w30); w31 = fma(x, c1, w31);
    c += ld;
  }
  x = v128.load32_splat(end); w00 = f32x4.mul(x, w00); w01 = f32x4.mul(x, w01);
  x = v128.load32_splat(end, 4); w00 = fma(x, w10, w00); w01 = fma(x, w11, w01);
  x = v128.load32_splat(end, 8); w00 = fma(x, w20, w00); w01 = fma(x, w21, w01);
  x = v128.load32_splat(end, 12); w00 = fma(x, w30, w00); w01 = fma(x, w31, w01);
  v128.store(products, w00); v128.store(products, w01, 16);
  x = v128.load32_splat(end, 20); w10 = f32x4.mul(x, w10); w11 = f32x4.mul(x, w11);
  x = v128.load32_splat(end, 24); w10 = fma(x, w20, w10); w11 = fma(x, w21, w11);
  x = v128.load32_splat(end, 28); w10 = fma(x, w30, w10); w11 = fma(x, w31, w11);
  v128.store(products, w10, 32); v128.store(products, w11, 48);
  x = v128.load32_splat(end, 40); w20 = f32x4.mul(x, w20); w21 = f32x4.mul(x, w21);
  x = v128.load32_splat(end, 44); w20 = fma(x, w30, w20); w21 = fma(x, w31, w21);
  v128.store(products, w20, 64); v128.store(products, w21, 80);
  x = v128.load32_splat(end, 60); w30 = f32x4.mul(x, w30); w31 = f32x4.mul(x, w31);
  v128.store(products, w30, 96); v128.store(products, w31, 112);
  w00 = v128.load(products); w01 = v128.load(products, 16);
  w10 = v128.load(products, 32); w11 = v128.load(products, 48);
  w20 = v128.load(products, 64); w21 = v128.load(products, 80);
  w30 = v128.load(products, 96); w31 = v128.load(products, 112);
  c = top;
  for (v = first; v < end; v += 16) {
    let c0 = v128.load(c), c1 = v128.load(c, 16);
    x = v128.load32_splat(v); c0 = fma(x, w00, c0); c1 = fma(x, w01, c1);
    x = v128.load32_splat(v, 4); c0 = fma(x, w10, c0); c1 = fma(x, w11, c1);
    x = v128.load32_splat(v, 8); c0 = fma(x, w20, c0); c1 = fma(x, w21, c1);
    x = v128.load32_splat(v, 12); c0 = fma(x, w30, c0); c1 = fma(x, w31, c1);
    v128.store(c, c0); v128.store(c, c1, 16);
    c += ld;
  }
}

/**
 * The reflectors of step `t` in `count` sweeps from `first` on as one, I - U V^T: with U = (u_0 ... u_{i-1}), the next
 * column is u_i = tau_i (v_i - U V^T v_i), because (I - U V^T) (I - tau_i v_i v_i^T) = I - U V^T - u_i v_i^T.
 * @param reflectors of one side, and `taus` of that side, as `chase` keeps them
 * @param v V^T, count rows of `ld` >= b + count + 7 numbers, a multiple of 16; U^T follows it, and `count` numbers of
 *   workspace
 */
export function mergeReflectors(
  first: i32,
  count: i32,
  t: i32,
  n: i32,
  b: i32,
  reflectors: usize,
  taus: usize,
  v: usize,
  ld: i32,
): void {
  const steps = (n - 2) / b + 1;
  const width = n + b + 16;
  const bytes = (<usize>ld) << 2;
  const u = v + <usize>count * bytes;
  const shares = u + <usize>count * bytes;
  memory.fill(v, 0, 2 * <usize>count * bytes);
  for (let i = 0; i < count; i++) {
    const sweep = first + i;
    const top = sweep + 1 + t * b;
    if (top >= n) return;
    const vi = v + <usize>i * bytes;
    memory.copy(
      vi + ((<usize>i) << 2),
      reflectors + ((<usize>sweep * width + top) << 2),
      (<usize>min(b, n - top)) << 2,
    );
    // Reflector j ends with its row b + j - 1, where v_i goes on.
    const from = (<usize>(i & ~3)) << 2;
    for (let j = 0; j < i; j++) {
      const vj = v + <usize>j * bytes;
      const to = (<usize>(b + j)) << 2;
      let even = f32x4.splat(0);
      let odd = even;
      for (let y = from; y < to; y += 32) {
        even = fma(v128.load(vi + y), v128.load(vj + y), even);
        odd = fma(v128.load(vi + y, 16), v128.load(vj + y, 16), odd);
      }
      store<f32>(shares + ((<usize>j) << 2), sum(f32x4.add(even, odd)));
    }
    const tau = f32x4.splat(load<f32>(taus + ((<usize>(sweep * steps + t)) << 3)));
    for (let y: usize = 0; y < bytes; y += 64) {
      let r0 = v128.load(vi + y);
      let r1 = v128.load(vi + y, 16);
      let r2 = v128.load(vi + y, 32);
      let r3 = v128.load(vi + y, 48);
      let uj = u + y;
      for (let j = 0; j < i; j++, uj += bytes) {
        const share = f32x4.splat(-load<f32>(shares + ((<usize>j) << 2)));
        r0 = fma(share, v128.load(uj), r0);
        r1 = fma(share, v128.load(uj, 16), r1);
        r2 = fma(share, v128.load(uj, 32), r2);
        r3 = fma(share, v128.load(uj, 48), r3);
      }
      const out = u + <usize>i * bytes + y;
      v128.store(out, f32x4.mul(tau, r0));
      v128.store(out, f32x4.mul(tau, r1), 16);
      v128.store(out, f32x4.mul(tau, r2), 32);
      v128.store(out, f32x4.mul(tau, r3), 48);
    }
  }
}
