/** Columns at a time: so many streams are written to, which a processor's cache can follow even where they lie a power of two apart. */
const STREAMS = 8;

/** out (cols x rows) = the transpose of `values` (rows x cols), both row-major. */
export function transpose(values: Float32Array, cols: number, out: Float32Array): void {
  const rows = values.length / cols;
  for (let from = 0; from < cols; from += STREAMS) {
    const to = Math.min(cols, from + STREAMS);
    for (let i = 0; i < rows; i++) {
      for (let j = from; j < to; j++) out[j * rows + i] = values[i * cols + j]!;
    }
  }
}
