import type { UpdateMatrix } from '../adapters/updateMatrix.ts';
import type { StoredMatrix } from './storedMatrix.ts';

/**
 * A matrix of a checkpoint: a tensor or a slice of one, or what an adapter adds to a layer. `kind` tells them apart.
 */
export type Matrix = StoredMatrix | UpdateMatrix;

/** Whether the matrix is stored as a tensor; only these can be replaced by factors. */
export function isStored(matrix: Matrix): matrix is StoredMatrix {
  return matrix.kind === 'stored';
}

/**
 * Sorts by layer. Matrices outside the layers (embeddings, head) come last: they are the largest and say least about
 * the layers.
 */
export function byLayer<Placed extends Matrix>(matrices: readonly Placed[]): Placed[] {
  const place = ({ layer }: Matrix) => layer ?? Number.POSITIVE_INFINITY;
  // Compared instead of subtracted, because infinity minus infinity is not a number. The sort is stable.
  return [...matrices].sort((a, b) => (place(a) < place(b) ? -1 : place(a) > place(b) ? 1 : 0));
}
