import type { Columns, Rotation } from '../networkOperations.ts';
import type { Values } from './values.ts';

/** x <- x + scale y. */
export function add(x: Values, y: Values, scale: number): void {
  for (let i = 0; i < x.length; i++) x[i]! += scale * y[i]!;
}

/** Adds a vector to each row of x. */
export function addToRows(x: Values, vector: Float32Array): void {
  for (let at = 0; at < x.length; at += vector.length) add(x.subarray(at, at + vector.length), vector, 1);
}

/** The stretches of `size` entries at `from`, `from + step`, ... of each row, side by side. */
export function pick(out: Values, outCols: number, x: Values, cols: number, { size, from, step }: Columns): void {
  for (let at = 0, to = 0; to < out.length; at += cols, to += outCols)
    for (let k = 0; k * size < outCols; k++) {
      const start = at + from + k * step;
      out.set(x.subarray(start, start + size), to + k * size);
    }
}

/** Writes rows of x to these stretches of the rows of `out`. */
export function place(out: Values, outCols: number, x: Values, cols: number, { size, from, step }: Columns): void {
  for (let at = 0, to = 0; at < x.length; at += cols, to += outCols)
    for (let k = 0; k * size < cols; k++) out.set(x.subarray(at + k * size, at + (k + 1) * size), to + from + k * step);
}

/** Rotary position embedding (Su et al., arXiv 2104.09864). */
export function rotate(x: Values, cols: number, rotation: Rotation): void {
  const { row, rows, headSize, half, cosines, sines } = rotation;
  for (let r = 0; r < rows; r++)
    for (let head = 0; head < cols; head += headSize)
      for (let i = 0; i < half; i++) {
        const at = (row + r) * cols + head + i;
        const [cos, sin] = [cosines[r * half + i]!, sines[r * half + i]!];
        const [a, b] = [x[at]!, x[at + half]!];
        x[at] = a * cos - b * sin;
        x[at + half] = b * cos + a * sin;
      }
}
