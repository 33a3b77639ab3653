/** out (cols x rows) = the transpose of `values` (rows x cols). */
export function transpose(values: Float32Array, cols: number, out: Float32Array): void {
  const rows = values.length / cols;
  // Four rows at a time: each line of either side is then touched few times while it is near.
  let i = 0;
  for (; i + 4 <= rows; i += 4) {
    const from = i * cols;
    for (let j = 0, to = i; j < cols; j++, to += rows) {
      out[to] = values[from + j]!;
      out[to + 1] = values[from + cols + j]!;
      out[to + 2] = values[from + 2 * cols + j]!;
      out[to + 3] = values[from + 3 * cols + j]!;
    }
  }
  for (; i < rows; i++) for (let j = 0; j < cols; j++) out[j * rows + i] = values[i * cols + j]!;
}
