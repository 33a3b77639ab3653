/** Which scores there are: a row for each query, all heads of a group one after the other; a column for each key. */
export interface ScoreTile {
  /** Queries of each head in the tile. */
  readonly queries: number;
  readonly keys: number;
  /** Position of the first query less that of the first key. */
  readonly ahead: number;
  /** Number of positions that a query sees, its own included. */
  readonly window: number;
}

/**
 * The softmax of each row over the keys that its query sees, in place; the others become zero. In f32, with sums in
 * f64.
 */
export function causalSoftmax(scores: Float32Array, { queries, keys, ahead, window }: ScoreTile): void {
  for (let at = 0, row = 0; at < scores.length; at += keys, row++) {
    const own = ahead + (row % queries);
    const from = Math.max(0, own - window + 1);
    const to = Math.min(keys, own + 1);
    let largest = Number.NEGATIVE_INFINITY;
    for (let i = at + from; i < at + to; i++) if (scores[i]! > largest) largest = scores[i]!;
    let total = 0;
    for (let i = at + from; i < at + to; i++) {
      const weight = Math.exp(scores[i]! - largest);
      scores[i] = weight;
      total += weight;
    }
    const scale = 1 / total;
    scores.fill(0, at, at + from);
    for (let i = at + from; i < at + to; i++) scores[i]! *= scale;
    scores.fill(0, at + to, at + keys);
  }
}
