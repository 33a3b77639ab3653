import { RankscopeError } from '../../base/errors.ts';
import type { Plan } from '../../model/plan/plan.ts';
import type { Opened } from '../checkpoints/opened.ts';

/**
 * A checkpoint may have been moved since its plan was made, but must not have changed. The writer also checks the
 * number of parameters and the shapes.
 */
export function refuseOther({ checkpoint: planned }: Plan, { checkpoint }: Pick<Opened, 'checkpoint'>): void {
  if (planned.bytes === checkpoint.bytes) return;
  throw new RankscopeError(
    'wrong-use',
    checkpoint.path,
    `it has ${checkpoint.bytes} bytes, the plan is for ${planned.path} with ${planned.bytes}`,
    'Make a new plan for this checkpoint',
  );
}
