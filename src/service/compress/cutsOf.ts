import { moduleOfWeight } from '../../model/names/moduleOfWeight.ts';
import type { Network } from '../../network/network.ts';
import { chosenMatrices } from '../../write/chosenMatrices.ts';
import { factorType } from '../../write/encode.ts';
import type { RewrittenModel } from '../plan/rewrittenModel.ts';
import type { BlockCut } from './compressBlocks.ts';

/**
 * What a plan does to the blocks of a network: the matrices that are cut, by the names of their modules, and how many
 * of each block stay dense though they might have been cut.
 */
export function cutsOf(model: RewrittenModel, { prefix, modules }: Pick<Network, 'prefix' | 'modules'>) {
  const cuts = new Map<string, BlockCut>();
  const predicted = new Map(model.plan.matrices.map(({ name, error }) => [name, error]));
  for (const [name, { matrix, rank }] of chosenMatrices(model))
    cuts.set(moduleOfWeight(name), {
      rank,
      shape: matrix.shape,
      predictedError: predicted.get(name) ?? 0,
      type: factorType(matrix.tensor.dtype),
    });
  const layers = `${prefix}${modules.layers}.`;
  const dense = new Map<number, number>();
  for (const { name, rank, kinds = [] } of model.plan.matrices) {
    if (rank !== null || kinds.length > 0 || !name.startsWith(layers)) continue;
    const layer = Number.parseInt(name.slice(layers.length), 10);
    dense.set(layer, (dense.get(layer) ?? 0) + 1);
  }
  return { cuts, dense };
}
