import { RankscopeError } from '../../base/errors.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';

const FACTORS = /\.(?:lowrank_a\.weight|svd_u)$/;

/** Whether factors that were written here stand in the places of matrices. */
export function isFactorized({ tensors }: Pick<Checkpoint, 'tensors'>): boolean {
  return tensors.some(({ name }) => FACTORS.test(name));
}

/**
 * Factors of factors have no layers, and whatever loads the result would know of these alone.
 * @throws RankscopeError 'wrong-use' for a checkpoint that holds factors
 */
export function refuseFactorized(checkpoint: Pick<Checkpoint, 'tensors' | 'path'>): void {
  if (isFactorized(checkpoint))
    throw new RankscopeError('wrong-use', checkpoint.path, 'it holds factors', 'Name the model that it was made from');
}
