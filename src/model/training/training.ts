/** How a model changes over the checkpoints of a training run, as plain data: the JSON that users read. */

import type { DeviceInfo, DeviceRequest } from '../../base/deviceInfo.ts';
import type { AttentionHeads } from '../diff/diff.ts';
import type { Place, Skipped } from '../findings.ts';
import type { Role } from '../names/roles.ts';
import type { StepUnit } from './stepOf.ts';

/** Checkpoints of one run that are read at most, unless the request says otherwise. */
export const MOST_CHECKPOINTS = 64;

export interface TrainingRequest extends DeviceRequest {
  /** The folder that holds the checkpoints: `checkpoint-500`, `step1000`, `epoch_3.pt` and the like. */
  readonly folder: string;
  /** Globs over the names of matrices; all by default. */
  readonly tensors?: readonly string[];
  /** Dimension of the leading subspaces whose turn is measured; 16 by default, and at most a quarter of a matrix. */
  readonly subspace?: number;
  /** Of more checkpoints, so many are taken, evenly spread, the first and the last included. */
  readonly checkpoints?: number;
}

export interface TrainingStep {
  readonly step: number;
  /** The name of the file or folder. */
  readonly name: string;
  readonly path: string;
}

/** Measures of a matrix, one for each checkpoint; null where the matrix is missing, damaged, or the measure unknown. */
export interface TrainingCurves {
  /** exp of the entropy of sigma / sum sigma. */
  readonly effectiveRank: readonly (number | null)[];
  readonly stableRank: readonly (number | null)[];
  /** Frobenius norm. */
  readonly norm: readonly (number | null)[];
  /** Power-law exponent of the eigenvalue density; null for fewer than 50 values. */
  readonly alpha: readonly (number | null)[];
  /**
   * How far the leading output and input subspaces have turned since the first checkpoint: the root mean square of the
   * principal angles, in degrees.
   */
  readonly turnOut: readonly (number | null)[];
  readonly turnIn: readonly (number | null)[];
  /** The same since the checkpoint before. */
  readonly stepOut: readonly (number | null)[];
  readonly stepIn: readonly (number | null)[];
}

export interface TrainedMatrix extends Place {
  readonly name: string;
  readonly role: Role;
  readonly expert?: number;
  /** [out, in]. */
  readonly shape: readonly [number, number];
  /** Dimension of the subspaces whose turn is measured; null for the updates of adapters, of which none is. */
  readonly rank: number | null;
  readonly curves: TrainingCurves;
  /** Of each attention head, where the configuration names them and the matrix is split by them. */
  readonly heads?: readonly TrainingCurves[];
}

/** The object that `rankscope training --json` prints; its schema is media/schemas/training.schema.json. */
export interface TrainingReport {
  readonly format: 'rankscope.training/1';
  readonly folder: string;
  readonly unit: StepUnit;
  readonly engine: DeviceInfo;
  /** Ascending. */
  readonly steps: readonly TrainingStep[];
  readonly heads: AttentionHeads | null;
  readonly matrices: readonly TrainedMatrix[];
  /** Checkpoints and matrices that were left out, with the reason. */
  readonly skipped: readonly Skipped[];
  readonly remarks: readonly string[];
}
