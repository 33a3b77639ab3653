import type { Tensor } from '../../checkpoint/tensor.ts';
import { ties as tiesByStorage, untied } from '../../checkpoint/ties.ts';
import { isStored } from '../../model/matrix.ts';
import type { StoredMatrix } from '../../model/storedMatrix.ts';
import { chosenMatrices } from '../../write/chosenMatrices.ts';
import type { Chosen } from '../../write/metadata.ts';
import type { RewrittenModel } from '../plan/rewrittenModel.ts';

/** What a loader that knows nothing of ties must find: every name of the source. */
export interface EveryTensor {
  /** Those that share their bytes with another are left out: the source has them once as well. */
  readonly tensors: readonly Tensor[];
  /** Matrices that are cut, by name: copies of planned ones among them, which the plan has once. */
  readonly chosen: ReadonlyMap<string, Chosen>;
}

/** @throws RankscopeError 'wrong-use' for a plan that does not fit the checkpoint */
export function everyTensor(model: RewrittenModel): EveryTensor {
  const { checkpoint, matrices, ties } = model;
  const tensors = untied(checkpoint.tensors, tiesByStorage(checkpoint.tensors));
  const chosen = new Map(chosenMatrices(model));
  const stored = matrices.filter(isStored);
  const names = new Set(tensors.map(({ name }) => name));
  for (const [first, ...copies] of ties)
    for (const [name, cut] of [...chosen]) {
      if (cut.matrix.tensorName !== first) continue;
      for (const copy of copies) {
        const same = stored.find(({ tensorName, offset }) => tensorName === copy && offset === cut.matrix.offset);
        if (same && names.has(copy) && name !== same.name) chosen.set(same.name, copyOf(cut, same));
      }
    }
  return { tensors, chosen };
}

/** The cut of an equal matrix: a copy shares no factor, whose rank may be larger than that of any of its own. */
function copyOf({ rank, predictedError }: Chosen, matrix: StoredMatrix): Chosen {
  return { matrix, rank: Math.min(rank, ...matrix.shape), predictedError };
}
