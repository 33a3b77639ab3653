import { RankscopeError } from '../base/errors.ts';
import { elementCount } from '../base/shape.ts';
import type { FactorizedReport, Plan } from '../model/plan/plan.ts';
import type { Chosen } from './metadata.ts';

/**
 * The chosen matrices with their errors as planned and as measured, and the error of all that the plan may cut.
 * @param measured by name
 */
export function measuredErrors(
  { matrices, totals }: Plan,
  chosen: ReadonlyMap<string, Chosen>,
  measured: ReadonlyMap<string, number>,
): Pick<FactorizedReport, 'measuredError' | 'matrices'> {
  const errors = [...chosen.values()].map(({ matrix: { name, shape }, rank, predictedError }) => {
    const measuredError = measured.get(name);
    if (measuredError === undefined)
      throw new RankscopeError('engine', name, 'it was not measured when it was written');
    return { name, shape, rank, predictedError, measuredError };
  });
  // A copy of a planned matrix is counted once, as the plan does.
  const planned = new Set(matrices.map(({ name }) => name));
  const lost = errors
    .filter(({ name }) => planned.has(name))
    .reduce((sum, { shape, measuredError }) => sum + elementCount(shape) * measuredError ** 2, 0);
  return {
    measuredError: Math.sqrt(lost / Math.max(1, totals.parametersBefore)),
    matrices: errors.map(({ shape: _, ...matrix }) => matrix),
  };
}
