import type { DeviceInfo, DeviceRequest } from '../base/deviceInfo.ts';
import type { StatisticsSummary } from './activations.ts';
import type { Place, Provenance, Skipped } from './findings.ts';

/**
 * Ways to factorize a matrix. `exact`: its truncated SVD, the least error of the rank. `randomized`: a sketch with
 * power iterations. `nystrom`: the generalized Nystrom approximation, a single pass. `column-row`: from sampled
 * columns and rows.
 */
export const TRIAL_METHODS = ['exact', 'randomized', 'nystrom', 'column-row'] as const;
export type TrialMethod = (typeof TRIAL_METHODS)[number];

/** Batch sizes for which a product with the matrix is timed. */
export const TRIAL_BATCHES = [1, 128] as const;
export type TrialBatch = (typeof TRIAL_BATCHES)[number];

export interface TrialOptions {
  /** In the order in which they are tried. */
  readonly ranks: readonly number[];
  readonly methods: readonly TrialMethod[];
  /** Columns of a sketch beyond the rank. */
  readonly oversampling: number;
  /** Of the randomized method: each is a further product with W^T and one with W. */
  readonly powerIterations: number;
  /** Random vectors from which the error of the Nystrom approximation is predicted. */
  readonly probes: number;
  readonly seed: number;
}

export const TRIAL_DEFAULTS: Omit<TrialOptions, 'ranks'> = {
  methods: ['exact', 'randomized', 'nystrom'],
  oversampling: 10,
  powerIterations: 2,
  probes: 16,
  seed: 1,
};

/** Limits of the options, for every place that reads them. */
export const TRIAL_LIMITS = {
  /** How many ranks. */
  ranks: 16,
  oversampling: [0, 1000],
  powerIterations: [0, 20],
  /** With fewer, the band of the prediction says nothing. */
  probes: [8, 256],
  seed: [0, 2 ** 31 - 1],
  /** On either side of a picture. */
  tiles: [1, 512],
} as const;

export interface TrialRequest extends Partial<TrialOptions>, DeviceRequest {
  readonly path: string;
  readonly ranks: readonly number[];
  /** Names of matrices, or globs over them; all by default. */
  readonly tensors?: readonly string[];
  /**
   * A file of statistics of the matrices' inputs, with which errors are also measured as the activations see them.
   */
  readonly activations?: string;
  /** Whether residuals carry their singular values. */
  readonly values?: boolean;
}

/** What each factorization does to matrices, before anything is written. */
export interface Trial extends TrialOptions {
  readonly format: 'rankscope.trial/1';
  readonly checkpoint: { readonly path: string; readonly format: string };
  readonly engine: DeviceInfo;
  readonly seconds: number;
  readonly matrices: readonly TrialMatrix[];
  readonly skipped: readonly Skipped[];
  /** The statistics with which `onActivations` was measured; absent without. */
  readonly activations?: StatisticsSummary;
  /** One sentence each. */
  readonly notes: readonly string[];
}

export interface TrialMatrix extends Place {
  readonly name: string;
  /** 0-based among the experts of its layer. */
  readonly expert?: number;
  /** [m, n] = [out, in]. */
  readonly shape: readonly [number, number];
  readonly dtype: string;
  readonly frobeniusNorm: number;
  readonly spectralNorm: number;
  /** ||W X||_F; null without statistics of this matrix, absent if none were asked for. */
  readonly normOnActivations?: number | null;
  readonly breakEvenRank: number;
  /** The device that computed it, which is the processor for what is too large for another one. */
  readonly device: string;
  /** y = W x. */
  readonly product: ProductCost;
  readonly ranks: readonly TrialRank[];
}

export interface ProductCost {
  readonly parameters: number;
  /** Of one input vector. */
  readonly multiplyAdds: number;
  /** Time of a product with so many inputs on the device in use, in seconds. */
  readonly seconds: Readonly<Record<TrialBatch, number>>;
}

export interface TrialRank {
  readonly rank: number;
  /** Whether two factors of this rank have fewer parameters than the matrix. */
  readonly pays: boolean;
  /** The least ||W - W'||_F / ||W||_F of any W' of this rank (Eckart and Young). */
  readonly leastError: number;
  /**
   * Likewise of ||(W - W') X||_F / ||W X||_F; null without statistics of this matrix, absent if none were asked for.
   */
  readonly leastOnActivations?: number | null;
  /** y = B (A x). */
  readonly product: ProductCost;
  readonly results: readonly TrialResult[];
}

export interface TrialResult {
  readonly method: TrialMethod;
  /** ||W - B A||_F / ||W||_F, measured: W is read again and B A multiplied out, with factors in f32. */
  readonly error: number;
  readonly predicted: PredictedError;
  /** ||(W - B A) X||_F / ||W X||_F; null without statistics of this matrix, absent if none were asked for. */
  readonly onActivations?: number | null;
  readonly residual: ResidualSpectrum;
  readonly cost: FactorizationCost;
}

/** The relative Frobenius error as it is known without multiplying the factors out. */
export interface PredictedError {
  readonly error: number;
  /**
   * `spectrum`: the energy beyond the rank. `norms`: ||W||^2 less the energy that an orthogonal projection keeps.
   * Both are exact but for rounding. `probes`: the mean of ||(W - W') g||^2 over random vectors g.
   */
  readonly basis: 'spectrum' | 'norms' | 'probes';
  /** Contains the error: of `probes`, in 99 of 100 trials; otherwise its width is the rounding of f32. */
  readonly band: readonly [number, number];
}

export interface ResidualSpectrum {
  readonly spectralNorm: number;
  readonly stableRank: number;
  /** `preview`: from a few products with W - W', as in the preview of a large matrix; the norm is then accurate. */
  readonly provenance: Provenance;
  /** Descending, min(m, n) of them; only if they were asked for. */
  readonly values?: readonly number[];
}

export interface FactorizationCost {
  /** How often the algorithm goes over the matrix; null for the exact route, which rewrites it in memory. */
  readonly passes: number | null;
  /** In products, QR factorizations and the reduction to a band, without terms of lower order. */
  readonly multiplyAdds: number;
  /** Time on the device in use; of the exact route, for the largest of the ranks. */
  readonly seconds: number;
}

/** A part of a matrix, in rows of outputs and columns of inputs. */
export interface TrialRegion {
  readonly row: number;
  readonly col: number;
  readonly rows: number;
  readonly cols: number;
}

/** What to try on one matrix; the defaults stand for what is left out. */
export type TrialChoice = Partial<TrialOptions> & Pick<TrialOptions, 'ranks'>;

export interface TrialPictureRequest extends DeviceRequest, Partial<Omit<TrialOptions, 'ranks' | 'methods'>> {
  readonly path: string;
  readonly name: string;
  readonly method: TrialMethod;
  readonly rank: number;
  /** The whole matrix by default. */
  readonly region?: TrialRegion;
  /** Tiles on either side at most; 128 by default. */
  readonly tiles?: number;
}

/** W, W' and W - W' in tiles, row by row. */
export interface TrialPictures {
  readonly region: TrialRegion;
  /** Number of tiles. */
  readonly height: number;
  readonly width: number;
  /** Entries on the sides of a tile; those at the right and lower edge may have fewer. */
  readonly tileRows: number;
  readonly tileCols: number;
  /** `rms`: the root of the mean square of a tile. `entry`: tiles are entries, with their signs. */
  readonly shows: 'rms' | 'entry';
  /** The largest magnitude in the three, the end of their common colour scale. */
  readonly largest: number;
  readonly original: readonly number[];
  readonly approximation: readonly number[];
  readonly residual: readonly number[];
}
