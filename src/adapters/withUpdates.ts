import type { Tensor } from '../checkpoint/tensor.ts';
import type { Placeable } from '../model/names/anatomy.ts';
import type { Update } from './update.ts';
import { UpdateMatrix } from './updateMatrix.ts';

/**
 * The tensors of a checkpoint with the factors of each update replaced by one matrix [out, in], named after the layer. It takes the place of
 * its first factor.
 */
export function withUpdates(tensors: readonly Tensor[], updates: readonly Update[]): readonly (Tensor | Placeable)[] {
  if (updates.length === 0) return tensors;
  const taken = new Set(tensors.map(({ name }) => name));
  const instead = new Map<Tensor, Placeable>();
  for (const update of updates) {
    const { target, adapter, shape } = update;
    const own = adapter === undefined ? target : `${target} (${adapter})`;
    const name = taken.has(own) ? `${own} (adapter)` : own;
    const placeable: Placeable = { name, shape, matrixAt: (place) => new UpdateMatrix(name, update, place) };
    for (const part of update.tensors) instead.set(part, placeable);
  }
  return [...new Set(tensors.map((tensor) => instead.get(tensor) ?? tensor))];
}
