/** What `summarizeRows` finds in each row of logits x, by the place of the number among `SUMMARY` numbers a row. */
export const SUMMARY = {
  /** The largest logit; NaN if one is not finite. */
  largest: 0,
  /** Its first column. */
  top: 1,
  /** The sum of e^(x - largest). */
  sum: 2,
  /** x at the target column; 0 without one. */
  target: 3,
  /** With a reference r, the sum of e^(r - largest r) (r - x). */
  difference: 4,
  size: 5,
} as const;
