// Copies, transposes and scans of row-major f32 blocks; leading dimensions in elements.

/** out (cols x rows) <- source^T (rows x cols). */
export function transpose(rows: i32, cols: i32, source: usize, ld: i32, out: usize, ldo: i32): void {
  const step = (<usize>ld) << 2;
  const stepOut = (<usize>ldo) << 2;
  // Strips of 32 columns keep both sides within L1, whatever the strides.
  for (let jb = 0; jb < cols; jb += 32) {
    const jEnd = min(cols, jb + 32);
    let i = 0;
    for (; i + 4 <= rows; i += 4) {
      let j = jb;
      for (; j + 4 <= jEnd; j += 4) {
        const x = source + <usize>i * step + ((<usize>j) << 2);
        const y = out + <usize>j * stepOut + ((<usize>i) << 2);
        const r0 = v128.load(x);
        const r1 = v128.load(x + step);
        const r2 = v128.load(x + 2 * step);
        const r3 = v128.load(x + 3 * step);
        const s0 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
        const s1 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
        const s2 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
        const s3 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
        v128.store(y, v128.shuffle<f32>(s0, s2, 0, 1, 4, 5));
        v128.store(y + stepOut, v128.shuffle<f32>(s0, s2, 2, 3, 6, 7));
        v128.store(y + 2 * stepOut, v128.shuffle<f32>(s1, s3, 0, 1, 4, 5));
        v128.store(y + 3 * stepOut, v128.shuffle<f32>(s1, s3, 2, 3, 6, 7));
      }
      for (; j < jEnd; j++) {
        for (let r = 0; r < 4; r++) {
          store<f32>(
            out + <usize>j * stepOut + ((<usize>(i + r)) << 2),
            load<f32>(source + <usize>(i + r) * step + ((<usize>j) << 2)),
          );
        }
      }
    }
    for (; i < rows; i++) {
      for (let j = jb; j < jEnd; j++) {
        store<f32>(
          out + <usize>j * stepOut + ((<usize>i) << 2),
          load<f32>(source + <usize>i * step + ((<usize>j) << 2)),
        );
      }
    }
  }
}

export function copy(rows: i32, cols: i32, source: usize, ld: i32, out: usize, ldo: i32): void {
  for (let i = 0; i < rows; i++) {
    memory.copy(out + ((<usize>i * ldo) << 2), source + ((<usize>i * ld) << 2), (<usize>cols) << 2);
  }
}

export function clear(rows: i32, cols: i32, out: usize, ld: i32): void {
  for (let i = 0; i < rows; i++) memory.fill(out + ((<usize>i * ld) << 2), 0, (<usize>cols) << 2);
}

/** The largest magnitude of `count` numbers at `source`. */
export function largest(count: i32, source: usize): f32 {
  let best = f32x4.splat(0);
  let i = 0;
  for (; i + 4 <= count; i += 4) best = f32x4.max(best, f32x4.abs(v128.load(source + ((<usize>i) << 2))));
  let value = max(
    max(f32x4.extract_lane(best, 0), f32x4.extract_lane(best, 1)),
    max(f32x4.extract_lane(best, 2), f32x4.extract_lane(best, 3)),
  );
  for (; i < count; i++) value = max(value, abs(load<f32>(source + ((<usize>i) << 2))));
  return value;
}

export function multiplyBy(count: i32, factor: f32, source: usize): void {
  const f = f32x4.splat(factor);
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const p = source + ((<usize>i) << 2);
    v128.store(p, f32x4.mul(f, v128.load(p)));
  }
  for (; i < count; i++) {
    const p = source + ((<usize>i) << 2);
    store<f32>(p, factor * load<f32>(p));
  }
}
