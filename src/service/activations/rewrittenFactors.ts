import type { InputFactor } from '../../activations/statistics.ts';
import type { Opened } from '../checkpoints/opened.ts';
import { rewrittenName } from '../plan/rewrittenModel.ts';
import type { Activations } from './withActivations.ts';

/** The statistics of matrices that tokens reached, by the names that the model's code has for them. */
export function rewrittenFactors(
  opened: Pick<Opened, 'checkpoint'>,
  { factors }: Pick<Activations, 'factors'>,
): Map<string, InputFactor> {
  const reached = [...factors].filter(([, { tokens }]) => tokens !== 0);
  return new Map(reached.map(([name, factor]) => [rewrittenName(opened, name), factor]));
}
