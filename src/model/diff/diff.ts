/** Two models compared, as plain data: it crosses every boundary and is the JSON that users read. */

import type { DeviceInfo, DeviceRequest } from '../../base/deviceInfo.ts';
import type { EnergyLevel } from '../../base/energyLevels.ts';
import type { CheckpointSummary, Place, Skipped } from '../findings.ts';
import type { Role } from '../names/roles.ts';

export interface DiffRequest extends DeviceRequest {
  readonly base: string;
  readonly other: string;
  /** Globs over the base's tensor names; all tensors by default. */
  readonly tensors?: readonly string[];
  /** Dimension of the leading subspaces whose turn is measured; 16 by default, and at most a quarter of a matrix. */
  readonly subspace?: number;
  /** Whether each matrix carries all singular values and principal angles, and no heads. */
  readonly spectra?: boolean;
}

export interface DiffedCheckpoint extends CheckpointSummary {
  readonly family: string | null;
  readonly layers: number;
  readonly tensors: number;
}

/** Which tensors belong together: by equal names, by names without prefixes, by place, or as a part of a fused one. */
export type MatchedBy = 'name' | 'prefix' | 'place' | 'fused';

/** How far the leading left and right singular subspaces of one dimension turn, in degrees. */
export interface SubspaceTurn {
  /** Dimension of both subspaces. */
  readonly rank: number;
  /** The largest and the root mean square of the principal angles between the output spaces. */
  readonly left: PrincipalAngles;
  /** The same for the input spaces. */
  readonly right: PrincipalAngles;
}

export interface PrincipalAngles {
  readonly largest: number;
  readonly mean: number;
}

/** Measures of D = other - base. */
export interface DifferenceSpectrum {
  readonly spectralNorm: number;
  /** exp of the entropy of sigma / sum sigma. */
  readonly effectiveRank: number;
  readonly stableRank: number;
  readonly numericalRank: number;
  readonly energyRanks: Readonly<Record<EnergyLevel, number>>;
  /** Descending; the first 256. */
  readonly singularValues: readonly number[];
}

/** The singular values of a matrix in both models and of D, descending, and the angles that `SubspaceTurn` sums up. */
export interface DiffedSpectra {
  readonly base: readonly number[];
  readonly other: readonly number[];
  /** Empty if nothing differs, as the angles are. */
  readonly difference: readonly number[];
  /** In degrees, ascending. */
  readonly angles: { readonly left: readonly number[]; readonly right: readonly number[] };
}

/** What happens to one attention head within one matrix. */
export interface DiffedHead {
  /** |D| / |base| of its rows or, in the output projection, its columns; null if the base is zero there. */
  readonly change: number | null;
  /** Effective and stable rank of the head in the other model. */
  readonly rank: number;
  readonly stableRank: number;
  /** The rank that holds 99 % of the energy of the head's difference. */
  readonly differenceRank: number;
}

interface DiffedTensor {
  /** The base's name. */
  readonly name: string;
  /** The other model's, where it differs. */
  readonly otherName?: string;
  readonly matchedBy: MatchedBy;
  readonly shape: readonly number[];
  /** The other model's, where it differs. */
  readonly otherShape?: readonly number[];
  readonly dtype: string;
  readonly otherDtype?: string;
  /** Equal type and bits (of more than 32, as f32); equal values in another type; or different values. */
  readonly state: 'identical' | 'equal' | 'changed';
  /** |D|_F. */
  readonly differenceNorm: number;
  /** |D|_F / |base|_F; null if the base is zero. */
  readonly change: number | null;
  /** Largest |D_ij|. */
  readonly largestDifference: number;
  readonly remark?: string;
}

/** A matrix of both models. */
export interface DiffedMatrix extends DiffedTensor, Place {
  readonly role: Role;
  readonly expert?: number;
  /** The rows of the base's fused matrix, or of the other's, that were compared: from, and behind the last. */
  readonly rows?: readonly [number, number];
  readonly otherRows?: readonly [number, number];
  /** <base, other>_F / (|base| |other|); null if one of them is zero. */
  readonly cosine: number | null;
  /** Null if nothing differs. */
  readonly difference: DifferenceSpectrum | null;
  /** |s_other - s_base| / |s_base| of the singular values that `turn` counts; null if nothing differs. */
  readonly valueChange: number | null;
  readonly turn: SubspaceTurn | null;
  /** Attention heads in their order; absent where the configuration names none, or the matrix is not split by them. */
  readonly heads?: readonly DiffedHead[];
  /** Only where the request asks for them. */
  readonly spectra?: DiffedSpectra;
}

/** A norm, a bias or another tensor that is no matrix. */
export type DiffedVector = DiffedTensor;

export interface UnmatchedTensor {
  readonly name: string;
  readonly shape: readonly number[];
}

/** A tensor of both models whose shapes cannot be compared. */
export interface ReshapedTensor extends UnmatchedTensor {
  readonly otherName: string;
  readonly otherShape: readonly number[];
}

/** Numbers of attention heads. */
export interface AttentionHeads {
  readonly queries: number;
  /** Heads of keys and values, each shared by `queries / keys` heads of queries. */
  readonly keys: number;
}

/** The object that `rankscope diff --json` prints; its schema is media/schemas/diff.schema.json. */
export interface ModelDiff {
  readonly format: 'rankscope.diff/1';
  readonly base: DiffedCheckpoint;
  readonly other: DiffedCheckpoint;
  readonly engine: DeviceInfo;
  readonly totals: {
    readonly identical: number;
    readonly equal: number;
    readonly changed: number;
    /** |D| / |base| over all compared tensors. */
    readonly change: number | null;
  };
  /** Null where the configuration names none. */
  readonly heads: AttentionHeads | null;
  readonly matrices: readonly DiffedMatrix[];
  readonly vectors: readonly DiffedVector[];
  /** Of the base alone. */
  readonly missing: readonly UnmatchedTensor[];
  /** Of the other model alone. */
  readonly added: readonly UnmatchedTensor[];
  readonly reshaped: readonly ReshapedTensor[];
  readonly skipped: readonly Skipped[];
  /** Cautions for reading the numbers, one sentence each. */
  readonly remarks: readonly string[];
}
