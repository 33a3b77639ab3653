/** What is known of the matrices of a checkpoint, as plain data: it crosses every boundary and is the JSON that users read. */

import type { DeviceInfo } from '../base/deviceInfo.ts';
import type { EnergyLevel } from '../base/energyLevels.ts';

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
  /** Marchenko-Pastur edge s (sqrt m + sqrt n): values above it stand out of the noise. */
  readonly noiseEdge: number;
  readonly optimalThresholdRank: number;
  /** Smallest rank that keeps each share of the energy (the summed squared singular values). */
  readonly energyRanks: Readonly<Record<EnergyLevel, number>>;
  readonly breakEvenRank: number;
  /** Power-law exponent of the eigenvalue density; null under 50 values. */
  readonly alpha: number | null;
  /** Kolmogorov-Smirnov distance of that fit; null under 50 values. */
  readonly alphaDistance: number | null;
}

/** Where a number comes from: computed to working precision, or estimated with a band. */
export type Provenance = 'exact' | 'preview';

/** The interval each previewed number is said to lie in: [low, high]. */
export interface PreviewBand {
  readonly energyRanks: Readonly<Record<EnergyLevel, readonly [number, number]>>;
  readonly effectiveRank: readonly [number, number];
  readonly effectiveRankEnergy: readonly [number, number];
  readonly stableRank: readonly [number, number];
}

/** Where a matrix sits in the network. */
export interface Place {
  /** 0-based; null outside the layer stack (embeddings, head). */
  readonly layer: number | null;
  /** The column of the heatmap: `self_attn.q_proj`, `mlp.down_proj`, `embed_tokens`. */
  readonly module: string;
}

/** What an adapter (LoRA and its kin) adds to a matrix; the measures are those of scale B A, or of the product that stands for it. */
export interface AdapterFinding {
  /** r, the inner size of the factors: no measure of a rank can be above it. */
  readonly rank: number;
  /** alpha / r, or alpha / sqrt r with rsLoRA; 1 where nothing says it. */
  readonly scale: number;
  /** A factor is all zero: nothing is added. */
  readonly dead: boolean;
  /** DoRA: magnitudes are learned beside the update. */
  readonly dora?: boolean;
  /** Of several adapters in one file, which one. */
  readonly name?: string;
  /** A Hadamard or a Kronecker product of products (LyCORIS); absent for B A. */
  readonly kind?: 'loha' | 'lokr';
}

/** What the quantization of a stored matrix did to it; absent where it is not quantized, or nothing can be said. */
export interface QuantizationFinding {
  /** Standard deviation of the rounding error of its entries, estimated from the widths of the steps. */
  readonly quantizationDeviation: number;
  /** s (sqrt m + sqrt n) of that deviation s: values above it survived, those below may be rounding alone. */
  readonly quantizationEdge: number;
  /** Values above that edge; absent from a preview. */
  readonly quantizationRank?: number;
}

export interface MatrixFinding extends Measures, Place, Partial<QuantizationFinding> {
  readonly name: string;
  /** [m, n] = [out, in]. */
  readonly shape: readonly [number, number];
  readonly dtype: string;
  readonly provenance: Provenance;
  /** Time of reading, decoding and computing; a cached result keeps the time it once took. */
  readonly seconds: number;
  readonly band?: PreviewBand;
  readonly adapter?: AdapterFinding;
  /** Descending, min(m, n) of them (of an adapter's update the first r, the others being zero); left out unless asked for. */
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
}
