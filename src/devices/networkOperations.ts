import type { Matrix } from './matrix.ts';

/**
 * What a network computes beside products, on activations in device memory: a row each token. Vectors of weights and
 * tables come from the host, because they are small. Each operation is written in plain TypeScript in `plain/`, where
 * the papers are named; devices compute the same in f32 with sums in f64.
 */
export interface NetworkOperations {
  /** out <- the norm of each stretch of `size` entries of x; `out` may be `x`. */
  normalize(out: Matrix, x: Matrix, norm: NormWeights): Promise<void>;

  /** x <- f(x), or with a factor x <- f(x) * factor, entry by entry. */
  activate(x: Matrix, f: Activation, factor?: Matrix): Promise<void>;

  /** x <- scale x, and with a cap x <- cap tanh(scale x / cap). */
  rescale(x: Matrix, scale: number, cap?: number | null): Promise<void>;

  /** x <- x + scale y. */
  add(x: Matrix, y: Matrix, scale: number): Promise<void>;

  /** Adds a vector to each row of x. */
  addToRows(x: Matrix, vector: Float32Array): Promise<void>;

  /** Row by row: out <- the stretches of `size` entries at `from`, `from + step`, ... of x, side by side. */
  pick(out: Matrix, x: Matrix, columns: Columns): Promise<void>;

  /** Turns the heads of some rows of x by rotary positions, in place. */
  rotate(x: Matrix, rotation: Rotation): Promise<void>;

  /** Causal attention: softmax(scale q k^T) v for each head. Rows of `out` in no span are left as they are. */
  attend(out: Matrix, input: AttentionInput, options: AttentionOptions): Promise<void>;

  /**
   * gradient <- that of x, where it was that of the norm of x.
   * @returns the gradient of the weights
   */
  normalizeBack(gradient: Matrix, x: Matrix, norm: NormWeights): Promise<NormGradient>;

  /** gradient <- that of x, where it was that of f(x), or of f(x) * factor: then the factor's is written as well. */
  activateBack(gradient: Matrix, x: Matrix, f: Activation, gate?: Gate): Promise<void>;

  /** The converse of `pick`: writes x to these stretches of `out`, whose other entries stay. */
  place(out: Matrix, x: Matrix, columns: Columns): Promise<void>;

  /**
   * Writes the gradients of queries, keys and values where `gradient` is that of the attention. Rows in no span are
   * left as they are; no two spans share rows.
   */
  attendBack(out: AttentionInput, gradient: Matrix, input: AttentionInput, options: AttentionOptions): Promise<void>;

  /**
   * One step of Adam on x, of whose gradient the two moments are updated.
   * @returns the sum of squares of the gradient: NaN or infinite if an entry is
   */
  adam(x: Matrix, gradient: Matrix, moments: Moments, step: AdamStep): Promise<number>;

  /**
   * What perplexities and divergences are made of, for each row of some columns of logits: `SUMMARY.size` numbers
   * (`rowSummaries.ts`).
   * @param targets a column for each row, or -1
   * @param reference logits of the same shape
   */
  summarizeRows(logits: Matrix, targets: Int32Array, reference?: Matrix): Promise<Float64Array>;
}

export interface NormWeights {
  /** `rms`: w x / sqrt(mean(x^2) + epsilon); `layer`: w (x - mean) / sqrt(variance + epsilon) + b. */
  readonly kind: 'rms' | 'layer';
  /** Of one stretch, or of as many that follow each other: then every so many stretches have the same weights. */
  readonly weight: Float32Array;
  readonly bias?: Float32Array | undefined;
  readonly epsilon: number;
  /** Entries that are normalized together. Default: all that `weight` has. */
  readonly size?: number;
}

/** Sums over all stretches that have these weights. */
export interface NormGradient {
  readonly weight: Float64Array;
  readonly bias?: Float64Array | undefined;
}

export interface Gate {
  readonly factor: Matrix;
  /** Where the gradient of the factor goes. */
  readonly gradient: Matrix;
}

export interface Moments {
  readonly first: Matrix;
  readonly second: Matrix;
}

export interface AdamStep {
  readonly rate: number;
  /** Counted from 1. */
  readonly step: number;
}

export type Activation = 'silu' | 'gelu' | 'geluTanh' | 'quickGelu' | 'relu' | 'squaredRelu';

export interface Columns {
  readonly size: number;
  readonly from: number;
  readonly step: number;
}

export interface Rotation {
  /** The rows that are turned. */
  readonly row: number;
  readonly rows: number;
  /** Entries of a head, of which the first 2 `half` are turned: entry i with entry half + i. */
  readonly headSize: number;
  readonly half: number;
  /** Of each row and pair, rows x half. */
  readonly cosines: Float32Array;
  readonly sines: Float32Array;
}

/** Heads side by side in each row. */
export interface AttentionInput {
  readonly query: Matrix;
  readonly key: Matrix;
  readonly value: Matrix;
}

export interface AttentionOptions {
  readonly heads: number;
  /** Heads of keys and values; each serves `heads / keyHeads` query heads (Ainslie et al., arXiv 2305.13245). */
  readonly keyHeads: number;
  readonly headSize: number;
  readonly scale: number;
  /** Scores s become cap tanh(s / cap). */
  readonly softCap: number | null;
  /** Number of positions that a query sees, its own included; null for all before it. */
  readonly window: number | null;
  readonly spans: readonly Span[];
  /** Checked at least every 100 ms. */
  readonly signal?: AbortSignal | undefined;
}

/** Queries that see keys of the same text: the last one sees all of them, the one before it all but the last. */
export interface Span {
  readonly row: number;
  readonly rows: number;
  readonly keyRow: number;
  readonly keys: number;
}
