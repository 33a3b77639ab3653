import { basename } from 'node:path';
import { RankscopeError } from '../base/errors.ts';
import { breakEvenRank } from '../base/shape.ts';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import { countParameters, untied } from '../checkpoint/ties.ts';
import type { Matrix } from '../model/matrix.ts';
import type { Plan } from '../model/plan/plan.ts';
import type { Chosen } from './metadata.ts';

/** A plan beside the checkpoint that it should be for. */
interface PlannedCheckpoint {
  readonly checkpoint: Checkpoint;
  /** As returned by `anatomy`. */
  readonly matrices: readonly Matrix[];
  readonly plan: Plan;
  /** Groups of tied tensors. */
  readonly ties: readonly (readonly string[])[];
}

/**
 * The matrices that a plan cuts, by name.
 * @throws RankscopeError 'wrong-use' for a plan that does not fit the checkpoint
 */
export function chosenMatrices({ checkpoint, matrices, plan, ties }: PlannedCheckpoint): Map<string, Chosen> {
  const parameters = countParameters(checkpoint.tensors, ties);
  const refuse = (subject: string, found: string): never => {
    throw new RankscopeError('wrong-use', subject, found, `Make a new plan for ${basename(checkpoint.path)}`);
  };
  if (plan.checkpoint.parameters !== parameters)
    refuse(checkpoint.path, `it has ${parameters} parameters, the plan is for one with ${plan.checkpoint.parameters}`);
  const byName = new Map(matrices.map((matrix) => [matrix.name, matrix]));
  const once = new Set(untied(checkpoint.tensors, ties).map(({ name }) => name));
  const chosen = new Map<string, Chosen>();
  for (const { name, shape, rank, error } of plan.matrices) {
    if (rank === null) continue;
    const matrix = byName.get(name);
    if (!matrix) return refuse(name, 'the plan contains this matrix, but the checkpoint does not');
    const [m, n] = matrix.shape;
    if (m !== shape[0] || n !== shape[1]) refuse(name, `it is ${m} x ${n}, in the plan ${shape.join(' x ')}`);
    if (matrix.fixed !== null) return refuse(name, `it cannot be replaced by factors: ${matrix.fixed}`);
    if (!once.has(name)) refuse(name, 'it is tied to another tensor, which represents both');
    const limit = breakEvenRank(m, n, plan.request.factors);
    if (rank > limit)
      refuse(name, `rank ${rank} is above break-even (${limit}): the factors would be larger than the matrix`);
    chosen.set(name, { matrix, rank, predictedError: error });
  }
  return chosen;
}
