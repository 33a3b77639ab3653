import { firstTriplets } from '../../base/singularTriplets.ts';
import type { Backend } from '../../devices/backend.ts';
import { isStored } from '../../model/matrix.ts';
import type { BlockChange, BlockVisit } from '../../network/blockwise.ts';
import type { Factors } from '../../network/variant.ts';
import { writtenFactors } from '../../write/factorTensors.ts';
import { networkTriplets } from '../plan/networkTriplets.ts';
import type { RewrittenModel } from '../plan/rewrittenModel.ts';

/** Truncates the matrices of a block to their ranks. */
export function truncateBlock({ matrices }: RewrittenModel, backend: Backend, signal: AbortSignal | undefined) {
  const byName = new Map(matrices.filter(isStored).map((matrix) => [matrix.name, matrix]));
  return async (_visit: BlockVisit, ranks: ReadonlyMap<string, number>): Promise<BlockChange> => {
    const linears = new Map<string, Factors>();
    for (const [name, rank] of ranks) {
      const matrix = byName.get(`${name}.weight`)!;
      const found = await networkTriplets(backend, matrix, rank, signal);
      linears.set(name, writtenFactors(matrix, firstTriplets(found, rank), 2));
    }
    return { linears };
  };
}
