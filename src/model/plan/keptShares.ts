import type { PlanTotals } from './plan.ts';

/** The share of the parameters that is left of what may be cut, and of the whole model; 1 where there is nothing. */
export function keptShares(
  { parametersBefore, parametersAfter }: Pick<PlanTotals, 'parametersBefore' | 'parametersAfter'>,
  parametersOfModel: number,
): Pick<PlanTotals, 'keptShare' | 'keptShareOfModel'> {
  const saved = parametersBefore - parametersAfter;
  const share = (whole: number) => (whole > 0 ? (whole - saved) / whole : 1);
  return { keptShare: share(parametersBefore), keptShareOfModel: share(parametersOfModel) };
}
