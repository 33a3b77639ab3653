import type { DeviceRequest } from '../../base/deviceInfo.ts';
import type { CalibrationUse } from '../../model/calibrationUse.ts';
import type { StoredMatrix } from '../../model/storedMatrix.ts';
import type { CallContext, StepProgress } from '../../protocol/service.ts';
import type { SharedFactors } from '../../spectrum/sharedFactors.ts';
import type { FactorType } from '../../write/encode.ts';
import type { FoundFactors } from '../../write/factorTensors.ts';
import type { SharedGroup } from '../../write/metadata.ts';
import type { Opened } from '../checkpoints/opened.ts';
import type { Devices } from '../devices/devices.ts';
import type { RewrittenModel } from '../plan/rewrittenModel.ts';

/** What a plan is applied to. */
export interface PlannedModel {
  readonly devices: Devices;
  readonly engine: DeviceRequest;
  readonly opened: Opened;
  readonly model: RewrittenModel;
  /** The file or folder to write. */
  readonly out: string;
  /** The type of written factors; undefined for that of each matrix. */
  readonly dtype?: FactorType | undefined;
  readonly context: CallContext<StepProgress>;
}

/** Factors that were found on what the matrices read. */
export interface CalibratedFactors {
  /** Undefined for a matrix of whose inputs nothing is known. */
  readonly factorsOf: (matrix: StoredMatrix, rank: number) => Promise<FoundFactors | undefined>;
  /** Factors of matrices that share one; undefined where nothing is known of the inputs of some. */
  readonly sharedFactorsOf?: (group: SharedGroup, rank: number) => Promise<SharedFactors | undefined>;
  /** Relative errors of what the matrices make of their inputs, once the factors are taken. */
  readonly inputErrors: ReadonlyMap<string, number>;
  readonly use: () => CalibrationUse;
}

/** Warns of statistics that say too little. */
export function calibrationNotes({ short, byWeights }: Pick<CalibrationUse, 'short' | 'byWeights'>): string[] {
  const notes: string[] = [];
  const [first] = short;
  if (first)
    notes.push(
      `Fewer tokens than columns: ${short.length} matrices (${first.name}: ${first.tokens} of ${first.inputs}). ` +
        'What the text does not show follows the weights; take a longer text.',
    );
  if (byWeights.length > 0)
    notes.push(
      `Truncated by their weights alone: ${byWeights.slice(0, 3).join(', ')}${byWeights.length > 3 ? ` and ${byWeights.length - 3} more` : ''}.`,
    );
  return notes;
}
