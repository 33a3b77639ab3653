import { ADAPTER_FIXED } from '../../adapters/updateMatrix.ts';
import { RankscopeError } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import { isStored, type Matrix } from '../../model/matrix.ts';
import type { PlanInput } from '../../model/plan/planOptions.ts';
import type { StoredMatrix } from '../../model/storedMatrix.ts';
import { carriedTensor } from '../../write/carried.ts';
import { FACTOR_BYTES, factorType } from '../../write/encode.ts';
import { distinctMatrices, type Opened } from '../checkpoints/opened.ts';
import { denseKinds } from './denseKinds.ts';
import { refuseFactorized } from './factorized.ts';
import { multiplyAddsOf } from './multiplyAdds.ts';
import { tiedHead } from './tiedHead.ts';

/** A matrix that a plan may cut or not, and what a plan must know of it but for its spectrum. */
export interface Candidate {
  readonly matrix: Matrix;
  readonly input: Omit<PlanInput, 'singularValues'>;
}

/**
 * All matrices of a checkpoint, tied ones once.
 * @throws RankscopeError 'wrong-use' for an adapter, and for a checkpoint that holds factors
 */
export async function planCandidates(opened: Opened, signal: AbortSignal | undefined): Promise<Candidate[]> {
  refuseFactorized(opened.checkpoint);
  await opened.tiesByContent(signal);
  const matrices = distinctMatrices(opened);
  refuseAdapter(opened.checkpoint.path, matrices);
  const dense = denseKinds({ matrices: opened.anatomy.matrices, ties: opened.ties(), tiedHead: tiedHead(opened) });
  const multiplyAdds = multiplyAddsOf(opened.checkpoint, matrices, (matrix) => dense.get(matrix)?.kinds ?? []);
  return matrices.map((matrix) => ({
    matrix,
    input: {
      name: matrix.name,
      shape: matrix.shape,
      bytesPerElement: matrix.bytesPerElement,
      factorBytesPerElement: FACTOR_BYTES[factorType(matrix.dtype)],
      ...(isStored(matrix) ? { writtenBytesPerElement: writtenBytes(matrix) } : {}),
      multiplyAdds: multiplyAdds(matrix),
      fixed: matrix.fixed,
      ...dense.get(matrix),
    },
  }));
}

/** Of an element of the tensor where nothing of it is cut. */
function writtenBytes({ tensor }: StoredMatrix): number {
  const parts = tensor.derived?.parts ?? [tensor];
  return parts.reduce((sum, part) => sum + carriedTensor(part).bytes, 0) / elementCount(tensor.shape);
}

/** Where there is nothing to factorize, the reason helps more than a plan that changes nothing. */
function refuseAdapter(path: string, matrices: readonly Matrix[]): void {
  if (matrices.length === 0 || matrices.some(isStored)) return;
  throw new RankscopeError(
    'wrong-use',
    path,
    `it is an adapter: each of its ${matrices.length} matrices is ${ADAPTER_FIXED}`,
    'Plan for the base model, or for the model that the adapter was merged into',
  );
}
