/** The work of a truncated SVD by each route, in multiplications that count as much as those of a matrix product. */
export interface SvdCost {
  readonly exact: number;
  readonly sketch: number;
}

/** Columns beyond the rank that a sketch carries along (Halko, Martinsson and Tropp 2011, section 4.2). */
export const OVERSAMPLING = 10;

/**
 * Rounds of products with W and W^T until a sketch's measured error stands still: more where the rank reaches into the bulk of the spectrum,
 * whose values lie close together.
 */
const rounds = (share: number) => 3 + 16 * share;
/**
 * How much dearer than in a product a multiplication is in a QR and in the reduction to a band with its way back to vectors. As the rounds,
 * they are fitted to the cpu engine, and `test/numeric/costModel.bench.ts` shows how well.
 */
const [QR, REDUCTION] = [3, 2.5];

/**
 * Exact: a QR where one side is longer, the reduction of the p x p rest, and `rank` vectors taken back through both. Sketch: rounds of two
 * products and two QRs of rank + 10 columns, and the values of what they leave.
 */
export function svdCost(rows: number, cols: number, rank: number): SvdCost {
  const [long, short] = [Math.max(rows, cols), Math.min(rows, cols)];
  const width = Math.min(short, rank + OVERSAMPLING);
  const first = long > short ? QR * 2 * long * short ** 2 : 0;
  const exact = first + REDUCTION * ((8 / 3) * short ** 3 + 8 * short ** 2 * rank) + 2 * long * short * rank;
  const values = REDUCTION * (8 / 3) * width ** 3;
  const round = 4 * long * short * width + QR * 4 * (long + short) * width ** 2 + values;
  return { exact, sketch: rounds(rank / short) * round };
}
