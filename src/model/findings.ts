/** The results of an analysis as plain data: they cross every boundary and are the JSON that users read. */

import type { DeviceInfo } from '../base/deviceInfo.ts';
import type { EnergyLevel } from '../base/energyLevels.ts';
import type { StatisticsKind, StatisticsSummary } from './activations.ts';

/** The rank measures of one m x n matrix; formulas and sources are in `spectrum/measures.ts`. */
export interface Measures {
  readonly frobeniusNorm: number;
  readonly spectralNorm: number;
  /** exp of the entropy of sigma / sum sigma. */
  readonly effectiveRank: number;
  /** exp of the entropy of sigma^2 / sum sigma^2. */
  readonly effectiveRankEnergy: number;
  readonly stableRank: number;
  readonly participationRatio: number;
  readonly numericalRank: number;
  readonly noiseRank: number;
  /** Robust standard deviation of the bulk of the entries. */
  readonly noiseDeviation: number;
  /** Marchenko-Pastur edge s (sqrt m + sqrt n): values above it are signal. */
  readonly noiseEdge: number;
  readonly optimalThresholdRank: number;
  /** Smallest rank that keeps each share of the energy (the summed squared singular values). */
  readonly energyRanks: Readonly<Record<EnergyLevel, number>>;
  readonly breakEvenRank: number;
  /**
   * Power-law exponent of the eigenvalue density (Clauset, Shalizi and Newman 2009), with every x_min from the smallest
   * eigenvalue above rounding to the second largest; null for fewer than 50 values.
   */
  readonly alpha: number | null;
  /** Kolmogorov-Smirnov distance of that fit; null for fewer than 50 values. */
  readonly alphaDistance: number | null;
}

/** Where a number comes from: computed to working precision, or estimated with a band. */
export type Provenance = 'exact' | 'preview';

/** The interval that should contain each previewed number: [low, high]. */
export interface PreviewBand {
  readonly energyRanks: Readonly<Record<EnergyLevel, readonly [number, number]>>;
  readonly effectiveRank: readonly [number, number];
  readonly effectiveRankEnergy: readonly [number, number];
  readonly stableRank: readonly [number, number];
}

/** Where a matrix sits in the network. */
export interface Place {
  /** The stack in which the layer counts (`vision`, `text`, `encoder`); absent if the checkpoint has only one. */
  readonly stack?: string;
  /** As the name counts it, mostly from 0; null outside the stacks (embeddings, head). */
  readonly layer: number | null;
  /** The column of the heatmap: `self_attn.q_proj`, `mlp.down_proj`, `embed_tokens`. */
  readonly module: string;
}

/**
 * The update that an adapter (LoRA and its relatives) adds to a matrix; the measures describe scale B A, or the product
 * in its place.
 */
export interface AdapterFinding {
  /** r, the inner size of the factors: an upper bound of every rank measure. */
  readonly rank: number;
  /** alpha / r, or alpha / sqrt r with rsLoRA; 1 if unknown. */
  readonly scale: number;
  /** Whether a factor is all zero, so that the update is zero. */
  readonly dead: boolean;
  /** Whether magnitudes are learned as well (DoRA). */
  readonly dora?: boolean;
  /** The adapter's name in a file with several. */
  readonly name?: string;
  /** Another form than B A; absent for B A itself. */
  readonly kind?: AdapterKind;
}

/** A Hadamard or a Kronecker product of products (LyCORIS), or a method whose update is computed from other parts. */
export type AdapterKind = 'loha' | 'lokr' | ComputedMethod;

/** Methods of PEFT and LyCORIS whose updates are computed from other parts than two factors. */
export type ComputedMethod =
  | 'full'
  | 'vblora'
  | 'c3a'
  | 'gralora'
  | 'delora'
  | 'vera'
  | 'pvera'
  | 'shira'
  | 'supertuning'
  | 'unilora'
  | 'tinylora';

/** The effect of quantization on a stored matrix; absent if it is not quantized, or if the effect is unknown. */
export interface QuantizationFinding {
  /** Standard deviation of the rounding error of its entries, estimated from the widths of the steps. */
  readonly quantizationDeviation: number;
  /** s (sqrt m + sqrt n) of that deviation s: values above it survived, those below may be rounding alone. */
  readonly quantizationEdge: number;
  /** Values above that edge; absent from a preview. */
  readonly quantizationRank?: number;
}

/**
 * The spectrum of W as the activations see it: the measures of W X, whose singular values are those of W R^T with R^T R
 * = X X^T. Of a diagonal, R is the root of it. By the theorem of Eckart and Young, the energy beyond rank k is the
 * least possible ||(W - W') X||_F^2 of a W' of that rank.
 */
export interface ActivationFinding
  extends Pick<
    Measures,
    | 'frobeniusNorm'
    | 'spectralNorm'
    | 'effectiveRank'
    | 'effectiveRankEnergy'
    | 'stableRank'
    | 'participationRatio'
    | 'numericalRank'
  > {
  /** Smallest rank that keeps each share of the energy of W X. */
  readonly energyRanks: Readonly<Record<EnergyLevel, number>>;
  readonly kind: StatisticsKind;
  /** Tokens that reached the layer; null if the statistics do not say. */
  readonly tokens: number | null;
  /**
   * a, where X X^T + a mean(diag(X X^T)) I stands in place of X X^T, because fewer tokens than inputs were seen; 0
   * where it does not.
   */
  readonly shrinkage: number;
  /** Time of reading and computing; a cached result keeps its original time. */
  readonly seconds: number;
  /** Descending, of W R^T; only on request. */
  readonly singularValues?: readonly number[];
}

export interface MatrixFinding extends Measures, Place, Partial<QuantizationFinding> {
  readonly name: string;
  /** 0-based among the experts of its layer; absent outside a mixture of experts and in its shared parts. */
  readonly expert?: number;
  /** [m, n] = [out, in]. */
  readonly shape: readonly [number, number];
  readonly dtype: string;
  readonly provenance: Provenance;
  /** Time of reading, decoding and computing; a cached result keeps its original time. */
  readonly seconds: number;
  readonly band?: PreviewBand;
  readonly adapter?: AdapterFinding;
  /** The matrix as a text's activations see it; absent without statistics of its inputs. */
  readonly activations?: ActivationFinding;
  /**
   * Descending, min(m, n) of them (only the first r of an adapter's update, as the others are zero); only on request.
   */
  readonly singularValues?: readonly number[];
}

export interface Skipped {
  readonly name: string;
  readonly reason: string;
}

export interface CheckpointSummary {
  readonly path: string;
  readonly format: string;
  /** Elements, tied tensors counted once. */
  readonly parameters: number;
  readonly bytes: number;
}

/** The object that `rankscope analyze --json` prints; its schema is media/schemas/analysis.schema.json. */
export interface Analysis {
  readonly format: 'rankscope.analysis/1';
  readonly checkpoint: CheckpointSummary & { readonly tensors: number };
  readonly engine: DeviceInfo;
  readonly matrices: readonly MatrixFinding[];
  readonly ties: readonly (readonly string[])[];
  readonly skipped: readonly Skipped[];
  /** The statistics with which `activations` of the matrices were computed; absent without. */
  readonly activations?: StatisticsSummary;
  /** What to know about the checkpoint as a whole, one sentence each; absent if there is nothing. */
  readonly warnings?: readonly string[];
}
