/** The work of a truncated SVD by each route, in multiplications that count as much as those of a matrix product. */
export interface SvdCost {
  readonly exact: number;
  readonly sketch: number;
}

/** Columns beyond the rank that a sketch carries along (Halko, Martinsson and Tropp 2011, section 4.2). */
export const OVERSAMPLING = 10;

/** Rounds of products with W and W^T that spectra of trained weights take until the measured error stands still. */
const TYPICAL_ROUNDS = 4;
/**
 * How much dearer than in a product a multiplication is in a QR's panels and in the reduction to a band with its way back to vectors, as
 * measured on the cpu engine (`test/numeric/costModel.bench.ts`).
 */
const [QR, REDUCTION] = [2, 2.5];

/**
 * Exact: a QR where one side is longer, the reduction of the p x p rest, and `rank` vectors taken back through both. Sketch: rounds of two
 * products and two QRs of rank + 10 columns.
 */
export function svdCost(rows: number, cols: number, rank: number): SvdCost {
  const [long, short] = [Math.max(rows, cols), Math.min(rows, cols)];
  const width = Math.min(short, rank + OVERSAMPLING);
  const first = long > short ? QR * 2 * long * short ** 2 : 0;
  const exact = first + REDUCTION * ((8 / 3) * short ** 3 + 8 * short ** 2 * rank) + 2 * long * short * rank;
  const round = 4 * long * short * width + QR * 4 * (long + short) * width ** 2;
  return { exact, sketch: TYPICAL_ROUNDS * round };
}
