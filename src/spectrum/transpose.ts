/** Columns at a time: few enough output streams for a processor's cache, even if they lie a power of two apart. */
const STREAMS = 8;

/** out (cols x rows) <- transpose of `values` (rows x cols), both row-major. */
export function transpose<Values extends Float32Array | Float64Array>(values: Values, cols: number, out: Values): void {
  const rows = values.length / cols;
  const whole = cols - (cols % STREAMS);
  for (let from = 0; from < whole; from += STREAMS) {
    // Unrolled, this takes half the time of a loop over the columns.
    for (let i = 0, at = from, to = from * rows; i < rows; i++, at += cols, to++) {
      out[to] = values[at]!;
      out[to + rows] = values[at + 1]!;
      out[to + 2 * rows] = values[at + 2]!;
      out[to + 3 * rows] = values[at + 3]!;
      out[to + 4 * rows] = values[at + 4]!;
      out[to + 5 * rows] = values[at + 5]!;
      out[to + 6 * rows] = values[at + 6]!;
      out[to + 7 * rows] = values[at + 7]!;
    }
  }
  for (let j = whole; j < cols; j++) for (let i = 0; i < rows; i++) out[j * rows + i] = values[i * cols + j]!;
}

/** The transpose (cols x rows) of `values` (rows x cols), both row-major. */
export function transposeOf<Values extends Float32Array | Float64Array>(values: Values, cols: number): Values {
  const out = values.slice() as Values;
  transpose(values, cols, out);
  return out;
}
