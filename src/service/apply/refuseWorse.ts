import { RankscopeError } from '../../base/errors.ts';
import type { Plan } from '../../model/plan/plan.ts';

/**
 * By how much an error may exceed its prediction, as a share of the matrix's norm, besides what rounding explains: the
 * decomposition of a large matrix with a flat spectrum is approximate.
 */
const SLACK = 0.01;
/** The unit roundoff of BF16, the coarsest type that is written. */
const ROUNDOFF = 2 ** -8;

/**
 * Checks the error of each matrix against its plan as soon as it is measured, before a result has its name. Rounding
 * two balanced factors of rank r moves their product by at most 2 u sqrt(r) of its norm.
 * @returns what throws RankscopeError 'engine' for a matrix that lost more than predicted, unless the prediction is of
 *   W X
 */
export function refuseWorse({ sensitivities, matrices }: Plan, isCalibrated: boolean) {
  // Those that share a factor have the error of their group. A copy of a planned matrix is not in the plan, and loses
  // what that loses.
  const known = isCalibrated || sensitivities ? [] : matrices.filter(({ shared }) => shared === undefined);
  const planned = new Map(known.map((matrix) => [matrix.name, matrix]));
  return (name: string, measured: number): void => {
    const { error, rank } = planned.get(name) ?? {};
    if (error === undefined || measured <= error + SLACK + 2 * ROUNDOFF * Math.sqrt(rank ?? 0)) return;
    throw new RankscopeError(
      'engine',
      name,
      `it lost ${measured.toPrecision(3)} of its norm, and the plan predicts ${error.toPrecision(3)}`,
      'Make a new plan, or try another engine',
    );
  };
}
