import type { Backend } from '../../devices/backend.ts';
import type { StoredMatrix } from '../../model/storedMatrix.ts';
import { type TruncatedSvd, truncatedSvd } from '../../spectrum/truncated.ts';

/** The `rank` leading triplets of a matrix in [out, in] terms, however it is stored. */
export async function networkTriplets(
  backend: Backend,
  matrix: StoredMatrix,
  rank: number,
  signal: AbortSignal | undefined,
): Promise<TruncatedSvd> {
  const found = await truncatedSvd(backend, matrix.source(), rank, { signal });
  return matrix.transposed ? { ...found, left: found.right, right: found.left } : found;
}
