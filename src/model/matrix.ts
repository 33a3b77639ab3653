import type { UpdateMatrix } from '../adapters/updateMatrix.ts';
import type { StoredMatrix } from './storedMatrix.ts';

/** A matrix of a checkpoint: a tensor or a slice of one, or what an adapter adds to a layer. `kind` tells which. */
export type Matrix = StoredMatrix | UpdateMatrix;

/** Whether the matrix is a tensor of the file, which alone can be replaced by factors. */
export function isStored(matrix: Matrix): matrix is StoredMatrix {
  return matrix.kind === 'stored';
}

/** Layer by layer, what stands outside the layers (embeddings, head) last: it is the largest, and says least about the layers. */
export function byLayer<Placed extends Matrix>(matrices: readonly Placed[]): Placed[] {
  const place = ({ layer }: Matrix) => layer ?? Number.POSITIVE_INFINITY;
  // Infinity minus infinity is no order, hence the comparison; the sort is stable.
  return [...matrices].sort((a, b) => (place(a) < place(b) ? -1 : place(a) > place(b) ? 1 : 0));
}
