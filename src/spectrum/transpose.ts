/** Columns at a time: few enough output streams for a processor's cache, even if they lie a power of two apart. */
const STREAMS = 8;

/** out (cols x rows) <- transpose of `values` (rows x cols), both row-major. */
export function transpose<Values extends Float32Array | Float64Array>(values: Values, cols: number, out: Values): void {
  const rows = values.length / cols;
  for (let from = 0; from < cols; from += STREAMS) {
    const to = Math.min(cols, from + STREAMS);
    for (let i = 0; i < rows; i++) {
      for (let j = from; j < to; j++) out[j * rows + i] = values[i * cols + j]!;
    }
  }
}

/** The transpose (cols x rows) of `values` (rows x cols), both row-major. */
export function transposeOf<Values extends Float32Array | Float64Array>(values: Values, cols: number): Values {
  const out = values.slice() as Values;
  transpose(values, cols, out);
  return out;
}
