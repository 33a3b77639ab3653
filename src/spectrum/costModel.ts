/** The cost of a truncated SVD by each route, in multiplications of a large matrix product. */
export interface SvdCost {
  readonly exact: number;
  readonly sketch: number;
}

/** Columns of a sketch beyond the rank (Halko, Martinsson and Tropp 2011, section 4.2). */
export const OVERSAMPLING = 10;

/**
 * Columns of a sketch's blocks, and of its basis when it is first checked. Blocks are wide enough for efficient
 * products; the basis suffices for spectra without a gap (Gaussian matrices settled at 2.6 times the rank).
 */
export function sketchSize(rank: number): { readonly width: number; readonly size: number } {
  const width = Math.min(96, Math.max(16, 16 * Math.ceil(rank / 48)));
  return { width, size: Math.max(3 * width, 2.6 * rank) };
}

/**
 * Cost of a multiplication in a QR, and in the reduction to a band with its back-transformation, relative to the thin
 * products of a sketch, which wait for memory and count for the orthogonalisation of its blocks as well. Fitted to the
 * cpu backend with and without a BLAS; `test/numeric/costModel.bench.ts` shows how well.
 */
const [QR, REDUCTION] = [0.45, 0.4];

/**
 * Exact: a QR if the matrix is not square, the reduction of the p x p triangle, and `rank` vectors taken back through
 * both. Sketch: products with W and W^T, the exact route for the projection of W on both bases, and `rank` vectors
 * taken back. The cost is infinite if the matrix is too small for a sketch.
 */
export function svdCost(rows: number, cols: number, rank: number): SvdCost {
  const [long, short] = [Math.max(rows, cols), Math.min(rows, cols)];
  const first = long > short ? QR * 2 * long * short ** 2 : 0;
  const exact = first + reduction(short, rank) + 2 * long * short * rank;
  const { width, size: least } = sketchSize(rank);
  const size = width * Math.ceil(least / width);
  if (size + 2 * width > short) return { exact, sketch: Number.POSITIVE_INFINITY };
  return { exact, sketch: 4 * long * short * size + reduction(size, rank) };
}

const reduction = (size: number, rank: number) => REDUCTION * ((8 / 3) * size ** 3 + 8 * size ** 2 * rank);
