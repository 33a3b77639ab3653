import { formatWhole } from '../../base/quantities.ts';
import type { Plan } from './plan.ts';

/** What a plan must agree with to be of a checkpoint. */
interface Subject {
  readonly bytes: number;
  /** All of them, tied ones included or not. */
  readonly matrices: readonly { readonly name: string; readonly shape: readonly number[] }[];
}

/** Differences that are listed of each kind. */
const LISTED = 8;

/**
 * How a checkpoint differs from the one that a plan was made for, one clause each; none if it is the same, which may
 * have been moved since.
 */
export function planDifferences({ checkpoint, matrices }: Plan, { bytes, matrices: own }: Subject): string[] {
  const shapes = new Map(own.map(({ name, shape }) => [name, shape]));
  const planned = new Set(matrices.map(({ name }) => name));
  const lacking = matrices.filter(({ name }) => !shapes.has(name)).map(({ name }) => name);
  const others = matrices.flatMap(({ name, shape }) => {
    const found = shapes.get(name);
    return !found || found.every((size, axis) => size === shape[axis])
      ? []
      : [`${name} is ${found.join(' x ')}, in the plan ${shape.join(' x ')}`];
  });
  const hasOtherSize = checkpoint.bytes !== bytes;
  // Tied matrices are in a plan once, which alone is no difference.
  const more = hasOtherSize ? own.filter(({ name }) => !planned.has(name)).map(({ name }) => name) : [];
  return [
    ...(hasOtherSize
      ? [`it has ${formatWhole(bytes)} bytes, the plan is for ${checkpoint.path} with ${formatWhole(checkpoint.bytes)}`]
      : []),
    ...listed(others, 'matrices of other shapes'),
    ...(lacking.length > 0 ? [`it has no ${listed(lacking, 'matrices of the plan').join(', ')}`] : []),
    ...(more.length > 0 ? [`the plan has no ${listed(more, 'matrices of it').join(', ')}`] : []),
  ];
}

function listed(all: readonly string[], what: string): string[] {
  const rest = all.length - LISTED;
  return rest > 0 ? [...all.slice(0, LISTED), `and ${formatWhole(rest)} more ${what}`] : [...all];
}
