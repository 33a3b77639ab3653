import { isStored } from '../../../model/matrix.ts';
import { moduleOfWeight } from '../../../model/names/moduleOfWeight.ts';
import type { StoredMatrix } from '../../../model/storedMatrix.ts';
import type { StoredFactor } from '../../../network/blocks/weights.ts';
import { inputGroups, type PlacedGroup } from '../../../network/inputGroups.ts';
import type { Network } from '../../../network/network.ts';
import type { Opened } from '../../checkpoints/opened.ts';
import type { Candidate } from '../planCandidates.ts';
import { nameInNetwork } from '../rewrittenModel.ts';

/** A matrix that may be cut, in its place in the network. */
export interface PlacedMatrix {
  readonly matrix: StoredMatrix;
  /** The tensors' names in transformers, by which variants replace it; several if they are tied. */
  readonly tensors: readonly string[];
  /** What stands for the matrix in the network, its rows in the order of the network. */
  readonly stored: StoredFactor;
  /** Null for the head. */
  readonly layer: number | null;
  readonly group: PlacedGroup;
}

/** The candidates that a layer of the network multiplies its inputs with, in the order of the pass. */
export function placedMatrices(
  opened: Pick<Opened, 'checkpoint' | 'ties'>,
  network: Network,
  candidates: readonly Candidate[],
): PlacedMatrix[] {
  const byTensor = new Map<string, StoredMatrix>();
  const tensorsOf = new Map<StoredMatrix, readonly string[]>();
  for (const { matrix } of candidates) {
    if (!isStored(matrix)) continue;
    const own = nameInNetwork(opened.checkpoint, matrix.name);
    const tied =
      opened
        .ties()
        .find((group) => group.includes(matrix.name))
        ?.slice(1) ?? [];
    const names = [own, ...tied.map((name) => nameInNetwork(opened.checkpoint, name))];
    tensorsOf.set(matrix, names);
    for (const name of names) byTensor.set(name, matrix);
  }
  const placed = new Map<StoredMatrix, PlacedMatrix>();
  for (const group of inputGroups(network))
    for (const tensor of Object.keys(group.matrices)) {
      const matrix = byTensor.get(tensor);
      const factors = network.weights.find(moduleOfWeight(tensor))?.factors ?? [];
      if (!matrix || factors.length !== 1 || placed.has(matrix)) continue;
      placed.set(matrix, { matrix, tensors: tensorsOf.get(matrix)!, stored: factors[0]!, layer: group.layer, group });
    }
  return [...placed.values()];
}
