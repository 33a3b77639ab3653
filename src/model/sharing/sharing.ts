/** What tensors and layers of a checkpoint have in common, as plain data; media/schemas/sharing.schema.json. */
import type { DeviceInfo } from '../../base/deviceInfo.ts';
import type { Evaluation, TextRequest } from '../evaluation.ts';
import type { Role } from '../names/roles.ts';
import type { Sensitivities } from '../plan/sensitivities.ts';

/** Where a request says nothing. */
export const SHARING_DEFAULTS = { keep: 0.8, directions: 16, near: 0.1 } as const;

export interface SharingRequest {
  readonly path: string;
  /** Share of the parameters of what may be cut at which shared and independent factors are compared, in (0, 1). */
  readonly keep: number;
  /** Layers that may share a basis, at most. */
  readonly layers: number;
  /** Leading directions of each matrix whose principal angles are measured. */
  readonly directions: number;
  /** Relative difference, up to a factor, below which two tensors are nearly equal. */
  readonly near: number;
  /** Statistics of the inputs, which make the errors those of W X; of W without them. */
  readonly activations?: string;
  /** A text on which both plans are measured; nothing is measured without one. */
  readonly text?: TextRequest;
}

/** Tensors with equal values. */
export interface EqualTensors {
  readonly names: readonly string[];
  readonly roles: readonly Role[];
  readonly shape: readonly number[];
  readonly dtype: string;
  /** How often the file holds them: once for tensors that are tied. */
  readonly copies: number;
  /** Parameters and bytes that tying them saves; 0 for tensors that are tied. */
  readonly savedParameters: number;
  readonly savedBytes: number;
}

/** An embedding that is the head as well because the configuration says so: the file has no head. */
export interface TiedByConfiguration {
  readonly embedding: string;
  readonly head: string;
  readonly shape: readonly [number, number];
  /** V x d: what the head would take. */
  readonly parameters: number;
}

/** Two matrices of one shape that are equal but for a factor and a small difference. */
export interface AlikePair {
  readonly first: string;
  readonly second: string;
  readonly shape: readonly [number, number];
  /** Rows that are compared: fewer than all for an embedding and a head of different vocabularies. */
  readonly rows: number;
  /** <A, B> / (||A|| ||B||). */
  readonly cosine: number;
  /** f for which ||B - f A|| is least. */
  readonly factor: number;
  /** ||A - B|| / ||A||. */
  readonly difference: number;
  /** ||B - f A|| / ||B||: what is left at the best factor. */
  readonly residual: number;
}

/** How alike the inputs are that the layers of one module read, layer against layer. */
export interface ModuleAngles {
  readonly stack?: string;
  readonly module: string;
  /** Layer numbers, ascending. */
  readonly layers: readonly number[];
  /** Leading right singular vectors of each layer that are compared, of `inputs` dimensions. */
  readonly directions: number;
  readonly inputs: number;
  readonly pairs: readonly AnglePair[];
}

export interface AnglePair {
  /** Layer numbers, `first` < `second`. */
  readonly first: number;
  readonly second: number;
  /** The mean squared cosine of the principal angles: 1 for one space, directions / inputs by chance. */
  readonly overlap: number;
  /** Cosines of the principal angles, descending. */
  readonly cosines: readonly number[];
}

/** Shared and independent factors with the same number of parameters. */
export interface SharedBases {
  /** The request. */
  readonly keep: number;
  readonly layers: number;
  /** The text over which the inputs were seen, if the errors are those of W X. */
  readonly inputs?: Sensitivities['inputs'];
  readonly independent: FactorTotals;
  readonly shared: FactorTotals;
  /** Parameters that shared factors need for the error of the independent ones; null where none share. */
  readonly parametersAtEqualError: number | null;
  readonly groups: readonly SharedGroup[];
  /** The same comparison at other sizes, smallest first. */
  readonly sizes: readonly SizeComparison[];
  /** Both plans on the text of the request, the independent one first. */
  readonly evaluation?: Evaluation;
}

export interface FactorTotals {
  /** Of all that may be cut. */
  readonly parameters: number;
  readonly keptShare: number;
  /** Predicted relative error over all of it, as `PlanTotals.error`. */
  readonly error: number;
}

/** Matrices that share their factor A. */
export interface SharedGroup {
  readonly name: string;
  readonly members: readonly string[];
  readonly layers: readonly number[];
  readonly modules: readonly string[];
  readonly rank: number;
  readonly parameters: number;
  /** Relative error over the group, each matrix (or W X) scaled to the same mean square entry. */
  readonly error: number;
  /** The least of factors of their own with no more parameters. */
  readonly independentError: number;
}

export interface SizeComparison {
  readonly keep: number;
  readonly independentError: number;
  readonly sharedError: number;
  /** Groups that share, and matrices in them. */
  readonly groups: number;
  readonly members: number;
}

export interface SharingReport {
  readonly format: 'rankscope.sharing/1';
  readonly checkpoint: { readonly path: string; readonly parameters: number; readonly bytes: number };
  readonly equal: readonly EqualTensors[];
  readonly tiedByConfiguration: TiedByConfiguration | null;
  readonly alike: readonly AlikePair[];
  readonly angles: readonly ModuleAngles[];
  readonly bases: SharedBases;
  readonly engine: DeviceInfo;
  readonly seconds: number;
  readonly notes: readonly string[];
}
