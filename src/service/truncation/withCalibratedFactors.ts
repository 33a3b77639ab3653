import { isStatistics } from '../../activations/openStatistics.ts';
import { RankscopeError } from '../../base/errors.ts';
import type { ApplyCalibration } from '../../protocol/service.ts';
import type { CalibratedFactors, PlannedModel } from './calibratedFactors.ts';
import { withFactorsOnStatistics } from './factorsOnStatistics.ts';
import { withFactorsOnText } from './factorsOnText.ts';

/**
 * Runs `use` with factors that are truncated on a text, or on statistics.
 * @throws RankscopeError as `withFactorsOnText` and `withFactorsOnStatistics` do
 */
export async function withCalibratedFactors<Result>(
  planned: PlannedModel,
  calibration: ApplyCalibration | undefined,
  use: (factors: CalibratedFactors | undefined) => Promise<Result>,
): Promise<Result> {
  if (!calibration) return use(undefined);
  const { file, ...text } = calibration;
  if ((file === undefined) === (text.ids === undefined))
    throw new RankscopeError('wrong-use', 'calibration', 'exactly one of a file and ids is needed');
  if (file === undefined || !(await isStatistics(file, planned.context.signal))) {
    refuseShared(planned);
    return withFactorsOnText(planned, { ...text, ...(file === undefined ? {} : { text: file }) }, use);
  }
  if (text.context !== undefined || text.tokens !== undefined)
    throw new RankscopeError(
      'wrong-use',
      file,
      'it holds statistics, of tokens that were counted already',
      'Give no windows',
    );
  return withFactorsOnStatistics(planned, file, use);
}

/** A text passes block by block, and a factor of several layers would be needed before the last of them is reached. */
function refuseShared({ model: { plan } }: PlannedModel): void {
  const shared = plan.matrices.find((matrix) => matrix.rank !== null && matrix.shared !== undefined);
  if (!shared) return;
  throw new RankscopeError(
    'wrong-use',
    shared.name,
    'it shares a factor, which is found on statistics, not block by block on a text',
    "Collect statistics of the text with 'rankscope calibrate', and give their file as the calibration",
  );
}
