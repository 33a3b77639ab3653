import type { Sharing } from '../../spectrum/sharedFactors.ts';
import type { SharedGroup } from '../../write/metadata.ts';

/** The matrices of a group as they are stored. */
export function sharingOf({ name, matrices }: SharedGroup): Sharing {
  return { name, sources: matrices.map((matrix) => matrix.source()), transposed: matrices[0]!.transposed };
}
