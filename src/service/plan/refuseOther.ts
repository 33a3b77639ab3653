import { RankscopeError } from '../../base/errors.ts';
import type { Plan } from '../../model/plan/plan.ts';
import type { Opened } from '../checkpoints/opened.ts';

/** Differences that are told. */
const TOLD = 3;

/**
 * A checkpoint may have been moved since its plan was made, but must not have changed. The writer also checks the
 * number of parameters.
 * @throws RankscopeError 'wrong-use' with the differences
 */
export function refuseOther(
  { checkpoint: planned, matrices }: Plan,
  { checkpoint, anatomy }: Pick<Opened, 'checkpoint' | 'anatomy'>,
): void {
  const shapes = new Map(anatomy.matrices.map(({ name, shape }) => [name, shape]));
  const differences = [
    ...(planned.bytes === checkpoint.bytes
      ? []
      : [`it has ${checkpoint.bytes} bytes, the plan is for ${planned.path} with ${planned.bytes}`]),
    ...matrices.flatMap(({ name, shape }) => {
      const own = shapes.get(name);
      if (!own) return [`it has no ${name}`];
      return own.every((size, axis) => size === shape[axis])
        ? []
        : [`${name} is ${own.join(' x ')}, in the plan ${shape.join(' x ')}`];
    }),
  ];
  if (differences.length === 0) return;
  const more = differences.length > TOLD ? `; and ${differences.length - TOLD} more differences` : '';
  throw new RankscopeError(
    'wrong-use',
    checkpoint.path,
    differences.slice(0, TOLD).join('; ') + more,
    'Make a new plan for this checkpoint',
  );
}
