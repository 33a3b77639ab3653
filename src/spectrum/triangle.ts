import type { Pause } from '../base/eventLoop.ts';

/** Multiplications per step, which bounds the rows added at a time. */
const STEP = 2 ** 23;

/**
 * R (width x width, column-major) of the QR of a tall matrix, by Householder reflections of a few rows at a time below
 * the R so far (the sequential TSQR of Demmel, Grigori, Hoemmen and Langou 2012). Each reflection touches only one row
 * of R and the new rows.
 */
export async function triangle(
  height: number,
  width: number,
  entry: (row: number, col: number) => number,
  pause: Pause,
): Promise<Float64Array> {
  const r = new Float64Array(width * width);
  const most = Math.max(1, Math.min(height, Math.floor(STEP / width ** 2)));
  const fresh = new Float64Array(width * most);
  for (let done = 0; done < height; done += most) {
    const count = Math.min(most, height - done);
    for (let col = 0; col < width; col++) for (let i = 0; i < count; i++) fresh[col * most + i] = entry(done + i, col);
    for (let j = 0; j < width; j++) {
      await pause();
      reflect(r, fresh, width, most, count, j);
    }
  }
  return r;
}

/** Reflects the new rows of column j into the diagonal of R, and applies the reflection to the columns on its right. */
function reflect(r: Float64Array, fresh: Float64Array, width: number, stride: number, count: number, j: number): void {
  const v = j * stride;
  let tail = 0;
  for (let i = 0; i < count; i++) tail += fresh[v + i]! ** 2;
  if (tail === 0) return;
  const head = r[j * width + j]!;
  const norm = Math.sqrt(head * head + tail);
  const diagonal = head > 0 ? -norm : norm;
  const first = head - diagonal;
  const factor = 2 / (first * first + tail);
  r[j * width + j] = diagonal;
  for (let col = j + 1; col < width; col++) {
    const other = col * stride;
    const top = col * width + j;
    let dot = first * r[top]!;
    for (let i = 0; i < count; i++) dot += fresh[v + i]! * fresh[other + i]!;
    dot *= factor;
    r[top]! -= dot * first;
    for (let i = 0; i < count; i++) fresh[other + i]! -= dot * fresh[v + i]!;
  }
}
