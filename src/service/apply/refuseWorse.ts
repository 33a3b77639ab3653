import { RankscopeError } from '../../base/errors.ts';
import type { FactorizedReport, Plan } from '../../model/plan/plan.ts';

/**
 * By how much an error may exceed its prediction, as a share of the matrix's norm, besides what rounding explains: the
 * decomposition of a large matrix with a flat spectrum is approximate.
 */
const SLACK = 0.01;
/** The unit roundoff of BF16, the coarsest type that is written. */
const ROUNDOFF = 2 ** -8;

/**
 * Checks the errors that were measured on a result against its plan. Rounding two balanced factors of rank r moves
 * their product by at most 2 u sqrt(r) of its norm.
 * @throws RankscopeError 'engine' for a matrix that lost more than predicted, unless the prediction is of W X
 */
export function refuseWorse<Report extends Pick<FactorizedReport, 'matrices'>>(
  report: Report,
  { sensitivities, matrices }: Plan,
  isCalibrated: boolean,
): Report {
  // Those that share a factor have the error of their group.
  const shared = new Set(matrices.flatMap(({ name, shared: group }) => (group === undefined ? [] : [name])));
  const worse = report.matrices.find(
    ({ name, rank, predictedError, measuredError }) =>
      !shared.has(name) && measuredError > predictedError + SLACK + 2 * ROUNDOFF * Math.sqrt(rank),
  );
  if (isCalibrated || sensitivities || !worse) return report;
  throw new RankscopeError(
    'engine',
    worse.name,
    `it lost ${worse.measuredError.toPrecision(3)} of its norm, and the plan predicts ${worse.predictedError.toPrecision(3)}`,
    'Make a new plan, or try another engine',
  );
}
