import type { Activation } from '../../devices/backend.ts';

export type { Activation };

/** A decoder language model as its configuration describes it: what to compute, apart from the weights. */
export interface Decoder {
  /** e.g. `LLaMA`. */
  readonly architecture: string;
  /** Entries of the residual stream at one position. */
  readonly width: number;
  /** Positions that the model was made for. */
  readonly context: number;
  /** Entries of an embedding; a projection leads to the residual stream where it is wider, and back (OPT-350M). */
  readonly embeddingWidth: number;
  readonly embeddingScale: number;
  /** Row of the position table for the first position; null without a table. */
  readonly positionOffset: number | null;
  /** Of all norms of the network. */
  readonly norm: NormSettings;
  /** Whether a norm stands behind each sum instead of before each part (the first transformers; OPT-350M). */
  readonly normsAfterSum: boolean;
  /** Whether a norm stands before the head. */
  readonly hasFinalNorm: boolean;
  /** Whether attention and feed-forward of a block read the same residual stream. */
  readonly parallel: boolean;
  /** Whether the query and key of each head have a norm of their own. */
  readonly normsEachHead: boolean;
  /** Factor of what each part of a block adds to the residual stream. */
  readonly residualScale: number;
  readonly layers: readonly LayerSettings[];
  /** Linear layers of the blocks that have no bias by the configuration, with the key that says so. */
  readonly unbiased: ReadonlyMap<string, string>;
  /** Rows of the embedding; null if the configuration leaves it to the file. */
  readonly vocabulary: number | null;
  readonly head: HeadSettings;
}

export interface NormSettings {
  readonly kind: 'rms' | 'layer';
  readonly epsilon: number;
  /** Added to the stored weights: Gemma stores them less one. */
  readonly offset: number;
}

export interface LayerSettings {
  readonly attention: AttentionSettings;
  readonly feedForward: FeedForwardSettings;
}

export interface AttentionSettings {
  readonly heads: number;
  /** Heads of keys and values, each of which serves `heads / keyHeads` query heads. */
  readonly keyHeads: number;
  readonly headSize: number;
  /** Factor of the scores. */
  readonly scale: number;
  /** Scores s become cap tanh(s / cap); null without a cap. */
  readonly softCap: number | null;
  /** Number of positions that a query sees, its own included; null for all before it. */
  readonly window: number | null;
  /** Null for a layer without rotary positions. */
  readonly rope: Rope | null;
}

/** Rotary position embedding (Su et al., arXiv 2104.09864): entry i of the first half turns with that of the second. */
export interface Rope {
  readonly theta: number;
  /** Entries of each head that are rotated, its first ones. */
  readonly size: number;
  readonly scaling: RopeScaling;
}

export type RopeScaling =
  | { readonly kind: 'none' }
  | { readonly kind: 'linear'; readonly factor: number }
  | { readonly kind: 'dynamic'; readonly factor: number; readonly original: number }
  | {
      readonly kind: 'llama3';
      readonly factor: number;
      readonly original: number;
      readonly low: number;
      readonly high: number;
    }
  | {
      readonly kind: 'yarn';
      readonly factor: number;
      readonly original: number;
      readonly fast: number;
      readonly slow: number;
      /** Factor of cosines and sines. */
      readonly magnitude: number;
      /** Whether the bounds of the ramp are whole numbers. */
      readonly truncate: boolean;
    }
  | {
      readonly kind: 'longrope';
      readonly original: number;
      readonly magnitude: number;
      /** Divisors of the frequencies up to `original` positions, and beyond. */
      readonly short: readonly number[];
      readonly long: readonly number[];
    };

export interface FeedForwardSettings {
  readonly activation: Activation;
  /** Entries between the projections, of each expert in a mixture; null if the configuration leaves it to the file. */
  readonly inner: number | null;
  /** Null for a single feed-forward part. */
  readonly experts: ExpertSettings | null;
}

export interface ExpertSettings {
  readonly count: number;
  /** Experts that each token passes through. */
  readonly used: number;
  /** Whether the weights of the chosen experts are scaled to sum to one. */
  readonly normalized: boolean;
  /** Entries between the projections of the shared expert; null if the configuration leaves it to the file. */
  readonly sharedInner: number | null;
}

export interface HeadSettings {
  readonly scale: number;
  readonly softCap: number | null;
  /**
   * Whether a file without a head means that of the embedding; null if the configuration does not say. A head of its
   * own is always used, as transformers 5 does where the two differ.
   */
  readonly tied: boolean | null;
}
