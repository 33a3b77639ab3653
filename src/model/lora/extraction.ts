import type { DeviceRequest } from '../../base/deviceInfo.ts';

/** How the ranks of an extraction are chosen. */
export const EXTRACT_TARGETS = ['rank', 'energy', 'error', 'parameters'] as const;
export type ExtractTargetKind = (typeof EXTRACT_TARGETS)[number];

/**
 * `rank`: this rank; `energy`: this share of the squared difference, from 0 to 1; `error`: at most this part of the
 * norm of the difference; `parameters`: at most so many in the adapter.
 */
export interface ExtractTarget {
  readonly by: ExtractTargetKind;
  readonly value: number;
}

/** `each`: every matrix meets the target; `all`: they meet it together, with the least error or parameters. */
export const EXTRACT_SPREADS = ['each', 'all'] as const;
export type ExtractSpread = (typeof EXTRACT_SPREADS)[number];

export const EXTRACT_TYPES = ['F32', 'F16', 'BF16'] as const;

export interface ExtractRequest extends DeviceRequest {
  readonly base: string;
  readonly tuned: string;
  /** The folder to write; without one, nothing is written. */
  readonly out?: string;
  readonly overwrite?: boolean;
  /** By default the rank above which a difference is the rounding of the weights, at most 64. */
  readonly target?: ExtractTarget;
  /** `each` by default, and `all` for a number of parameters. */
  readonly spread?: ExtractSpread;
  /** The largest rank of a matrix. */
  readonly mostRank?: number;
  /** Globs over the names of matrices: all linear layers, convolutions and an untied head by default. */
  readonly tensors?: readonly string[];
  /** Globs over names of matrices that are left out. */
  readonly exclude?: readonly string[];
  /** Writes whole modules for what no LoRA holds: norms, embeddings, biases. */
  readonly modulesToSave?: boolean;
  /** Whether matrices carry their singular values: all where no target is given, else those that it needed. */
  readonly values?: boolean;
  /** Of the factors; F32 by default. */
  readonly dtype?: (typeof EXTRACT_TYPES)[number];
}

export interface ExtractedMatrix {
  readonly name: string;
  /** [m, n]. */
  readonly shape: readonly [number, number];
  readonly rank: number;
  /** ||W1 - W0||_F, and the same over ||W0||_F; null for a base of zeros. */
  readonly norm: number;
  readonly change: number | null;
  /** Part in the squared difference of the two models. */
  readonly share: number;
  /** ||W1 - W0 - B A||_F / ||W1 - W0||_F, from the singular values. */
  readonly predictedError: number;
  /** The same with the factors as written; null if nothing was written. */
  readonly measuredError: number | null;
  /** The number of singular values that rounding of the weights does not explain; null if not all were computed. */
  readonly aboveRounding: number | null;
  /** Of W1 - W0, descending; only if they were asked for. */
  readonly values?: readonly number[];
  /** floor(m n / (m + n)): above it the factors are larger than the difference itself. */
  readonly breakEven: number;
}

/** A tensor that differs and that no LoRA holds. */
export interface OtherDifference {
  readonly name: string;
  readonly kind: 'embedding' | 'head' | 'norm' | 'bias' | 'router' | 'other';
  readonly share: number;
  readonly change: number | null;
  /** How many rows more the vocabulary of the tuned model has; fewer where negative. Absent where both have as many. */
  readonly newRows?: number;
  /** The module that holds it in `modules_to_save`, or why there is none. */
  readonly module: string | null;
  readonly reason?: string;
}

/** The object that `rankscope lora extract --json` prints; its schema is media/schemas/extraction.schema.json. */
export interface Extraction {
  readonly format: 'rankscope.extraction/1';
  readonly base: string;
  readonly tuned: string;
  /** Null if nothing was written. */
  readonly out: string | null;
  readonly matrices: readonly ExtractedMatrix[];
  readonly others: readonly OtherDifference[];
  /** Matrices that are equal in both models, which the adapter leaves out. */
  readonly unchanged: number;
  /** Whole modules in the adapter. */
  readonly modulesToSave: readonly string[];
  readonly totals: {
    /** Of the factors. */
    readonly parameters: number;
    /** Of the written weights; null if nothing was written. */
    readonly bytes: number | null;
    /** ||W1 - W0||_F over both models. */
    readonly norm: number;
    /** What the base with the adapter leaves of it, as a part of the norm, with what is left out. */
    readonly predictedError: number;
    readonly measuredError: number | null;
  };
  readonly remarks: readonly string[];
}
