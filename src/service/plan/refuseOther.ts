import { RankscopeError } from '../../base/errors.ts';
import { planDifferences } from '../../model/plan/differences.ts';
import type { Plan } from '../../model/plan/plan.ts';
import type { Opened } from '../checkpoints/opened.ts';

/**
 * A checkpoint may have been moved since its plan was made, but must not have changed. The writer also checks the
 * number of parameters.
 * @throws RankscopeError 'wrong-use' with the differences
 */
export function refuseOther(plan: Plan, { checkpoint, anatomy }: Pick<Opened, 'checkpoint' | 'anatomy'>): void {
  const differences = planDifferences(plan, { bytes: checkpoint.bytes, matrices: anatomy.matrices });
  if (differences.length === 0) return;
  throw new RankscopeError('wrong-use', checkpoint.path, differences.join('; '), 'Make a new plan for this checkpoint');
}
