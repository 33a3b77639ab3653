import { ADAPTER_FIXED } from '../../adapters/updateMatrix.ts';
import type { DeviceRequest } from '../../base/deviceInfo.ts';
import { RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import { isStored, type Matrix } from '../../model/matrix.ts';
import { makePlan } from '../../model/plan/allocate.ts';
import { leftOut } from '../../model/plan/leftOut.ts';
import type { Plan, PlanRequest } from '../../model/plan/plan.ts';
import type { PlanInput } from '../../model/plan/planOptions.ts';
import { checkRequest } from '../../model/plan/planRequest.ts';
import type { CallContext, StepProgress } from '../../protocol/service.ts';
import { FACTOR_BYTES, factorType } from '../../write/encode.ts';
import { exactResults, type SpectraParts } from '../analysis/spectra.ts';
import { distinctMatrices, type Opened, refuseChanged, viewOf } from '../checkpoints/opened.ts';
import { denseKinds } from './denseKinds.ts';
import { tiedHead } from './tiedHead.ts';

/**
 * Makes a plan from exact spectra; those that are not known yet are computed. A matrix without a spectrum stays dense,
 * with the reason.
 */
export async function plan(
  parts: SpectraParts,
  opened: Opened,
  request: PlanRequest,
  engine: DeviceRequest,
  { signal, progress }: CallContext<StepProgress>,
): Promise<Plan> {
  checkRequest(request);
  const candidates = await planCandidates(opened, signal);
  const reasonOf = leftOut(request);
  const needed = candidates.flatMap(({ matrix, input }) => (reasonOf(input) === undefined ? [matrix] : []));
  const unusable = new Map<Matrix, string>();
  const results = await exactResults(parts, needed, engine, {
    signal,
    progress,
    unusable: (matrix, { found }) => unusable.set(matrix, found),
  });
  const values = new Map(needed.map((matrix, index) => [matrix, results[index]?.singularValues]));
  throwIfCancelled(signal, opened.checkpoint.path);
  await refuseChanged(opened.checkpoint);
  const inputs = candidates.map(
    ({ matrix, input }): PlanInput => ({
      ...input,
      singularValues: values.get(matrix) ?? [],
      fixed: unusable.get(matrix) ?? matrix.fixed,
    }),
  );
  return makePlan(viewOf(opened), inputs, request);
}

/** A matrix that a plan may cut or not, and what a plan must know of it but for its spectrum. */
interface Candidate {
  readonly matrix: Matrix;
  readonly input: Omit<PlanInput, 'singularValues'>;
}

/** All matrices of a checkpoint, tied ones once. @throws RankscopeError 'wrong-use' for an adapter */
export async function planCandidates(opened: Opened, signal: AbortSignal | undefined): Promise<Candidate[]> {
  await opened.tiesByContent(signal);
  const matrices = distinctMatrices(opened);
  refuseAdapter(opened.checkpoint.path, matrices);
  const dense = denseKinds({ matrices: opened.anatomy.matrices, ties: opened.ties(), tiedHead: tiedHead(opened) });
  return matrices.map((matrix) => ({
    matrix,
    input: {
      name: matrix.name,
      shape: matrix.shape,
      bytesPerElement: matrix.bytesPerElement,
      factorBytesPerElement: FACTOR_BYTES[factorType(matrix.dtype)],
      fixed: matrix.fixed,
      ...dense.get(matrix),
    },
  }));
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
