import { basename } from 'node:path';
import { RankscopeError } from '../base/errors.ts';
import { breakEvenRank } from '../base/shape.ts';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import { countParameters, untied } from '../checkpoint/ties.ts';
import type { Matrix } from '../model/matrix.ts';
import { expertOfStack } from '../model/names/moduleOfWeight.ts';
import type { Plan } from '../model/plan/plan.ts';
import { factorType } from './encode.ts';
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
  const groups = new Map<string, string[]>();
  for (const { name, shape, rank, error, shared } of plan.matrices) {
    if (rank === null) continue;
    const matrix = byName.get(name);
    if (!matrix) return refuse(name, 'the plan contains this matrix, but the checkpoint does not');
    const [m, n] = matrix.shape;
    if (m !== shape[0] || n !== shape[1]) refuse(name, `it is ${m} x ${n}, in the plan ${shape.join(' x ')}`);
    if (matrix.fixed !== null) return refuse(name, `it cannot be replaced by factors: ${matrix.fixed}`);
    if (!once.has(matrix.tensorName)) refuse(name, 'it is tied to another tensor, which represents both');
    chosen.set(name, { matrix, rank, predictedError: error });
    if (shared !== undefined) {
      if (expertOfStack(name)) refuse(name, 'it is an expert of a stack, and these share no factors');
      groups.set(shared, [...(groups.get(shared) ?? []), name]);
      continue;
    }
    const limit = breakEvenRank(m, n, plan.request.factors);
    if (rank > limit)
      refuse(name, `rank ${rank} is above break-even (${limit}): the factors would be larger than the matrix`);
  }
  if (groups.size === 0) return chosen;
  if (plan.request.factors === 3)
    refuse(plan.checkpoint.path, 'matrices share one of two factors, and the plan has three');
  return withGroups(chosen, groups, [...once], refuse);
}

/** The same with the matrices of each group, in the order in which they are written. */
function withGroups(
  chosen: ReadonlyMap<string, Chosen>,
  groups: ReadonlyMap<string, readonly string[]>,
  order: readonly string[],
  refuse: (subject: string, found: string) => never,
): Map<string, Chosen> {
  const places = new Map(order.map((name, k) => [name, k]));
  const result = new Map(chosen);
  for (const [name, members] of groups) {
    const sorted = [...members].sort((a, b) => places.get(a)! - places.get(b)!).map((each) => chosen.get(each)!);
    const matrices = sorted.map(({ matrix }) => matrix);
    const [{ rank, matrix: first }] = sorted as [Chosen];
    const other = sorted.find(
      ({ matrix }) =>
        matrix.transposed !== first.transposed ||
        factorType(matrix.dtype) !== factorType(first.dtype) ||
        matrix.shape[1] !== first.shape[1],
    );
    if (other)
      refuse(other.matrix.name, `it cannot share a factor with ${first.name}: they are stored in different ways`);
    const outputs = matrices.reduce((sum, { shape: [m] }) => sum + m, 0);
    const limit = breakEvenRank(outputs, first.shape[1], 2);
    if (rank > limit)
      refuse(name, `rank ${rank} is above break-even (${limit}): the factors would be larger than the matrices`);
    for (const each of sorted) result.set(each.matrix.name, { ...each, group: { name, matrices } });
  }
  return result;
}
