/** A dense row-major f64 matrix. */
export interface Dense {
  readonly rows: number;
  readonly cols: number;
  readonly data: Float64Array;
}

export function dense(rows: number, cols: number, data = new Float64Array(rows * cols)): Dense {
  return { rows, cols, data };
}

export function transposed({ rows, cols, data }: Dense): Dense {
  const out = dense(cols, rows);
  for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) out.data[j * rows + i] = data[i * cols + j]!;
  return out;
}

/**
 * Thin QR of `a` (m x n, m >= n) by Householder reflections (Golub and Van Loan, algorithms 5.2.1 and 5.1.6): Q is
 * orthonormal whatever the rank. Destroys `a`.
 */
export function householderQr(a: Dense): { q: Dense; r: Dense } {
  const { rows: m, cols: n } = a;
  const scales = Array.from({ length: n }, (_, j) => reflect(a, j));
  const r = dense(n, n);
  for (let i = 0; i < n; i++) for (let j = i; j < n; j++) r.data[i * n + j] = a.data[i * n + j]!;
  const q = dense(m, n);
  for (let j = 0; j < n; j++) q.data[j * n + j] = 1;
  for (let j = n - 1; j >= 0; j--) applyReflection(a, j, scales[j]!, q, j);
  return { q, r };
}

/**
 * Eliminates column j below its diagonal and applies the reflection to the columns on its right. The vector v, whose
 * first entry is 1, is stored below the diagonal. Returns tau of I - tau v v^T.
 */
function reflect(a: Dense, j: number): number {
  const { rows: m, cols: n, data } = a;
  let tail = 0;
  for (let i = j + 1; i < m; i++) tail = Math.hypot(tail, data[i * n + j]!);
  if (tail === 0) return 0;
  const head = data[j * n + j]!;
  const norm = head <= 0 ? Math.hypot(head, tail) : -Math.hypot(head, tail);
  for (let i = j + 1; i < m; i++) data[i * n + j]! /= head - norm;
  data[j * n + j] = norm;
  const scale = (norm - head) / norm;
  applyReflection(a, j, scale, a, j + 1);
  return scale;
}

/** Applies the reflection stored in column j of `vectors` to the columns of `to` from `first` on. */
function applyReflection(vectors: Dense, j: number, scale: number, to: Dense, first: number): void {
  const { rows: m, cols: n, data: v } = vectors;
  const { cols: width, data } = to;
  const dots = data.slice(j * width + first, (j + 1) * width);
  for (let i = j + 1; i < m; i++) {
    const factor = v[i * n + j]!;
    for (let k = 0; k < dots.length; k++) dots[k]! += factor * data[i * width + first + k]!;
  }
  for (let k = 0; k < dots.length; k++) data[j * width + first + k]! -= scale * dots[k]!;
  for (let i = j + 1; i < m; i++) {
    const factor = scale * v[i * n + j]!;
    for (let k = 0; k < dots.length; k++) data[i * width + first + k]! -= factor * dots[k]!;
  }
}
