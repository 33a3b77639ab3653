import { significant } from '../../base/quantities.ts';
import type { Plan, PlanRequest } from '../../model/plan/plan.ts';

/** A name for a plan that tells it from others of the same checkpoint: `80 % kept, optimal, 2 ranks by hand`. */
export function planName({ request }: Plan): string {
  const { budget, spread, multiple, overrides, exclude, include = [] } = request;
  const byHand = Object.keys(overrides).length;
  return [
    budgetText(budget),
    ...(budget.kind === 'keep' || budget.kind === 'error' ? [spread] : []),
    ...(multiple > 1 ? [`multiples of ${multiple}`] : []),
    ...(exclude.length > 0 ? [`without ${exclude.join(' ')}`] : []),
    ...(include.length > 0 ? [`with ${include.join(' ')}`] : []),
    ...(byHand > 0 ? [`${byHand} ${byHand === 1 ? 'rank' : 'ranks'} by hand`] : []),
  ].join(', ');
}

function budgetText({ kind, value }: PlanRequest['budget']): string {
  if (kind === 'rank') return `rank ${value}`;
  const percent = `${significant(100 * value)} %`;
  return kind === 'keep' ? `${percent} kept` : kind === 'energy' ? `${percent} energy` : `${percent} error`;
}
