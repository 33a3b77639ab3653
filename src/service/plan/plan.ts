import type { DeviceRequest } from '../../base/deviceInfo.ts';
import { throwIfCancelled } from '../../base/errors.ts';
import type { Matrix } from '../../model/matrix.ts';
import { makePlan } from '../../model/plan/allocate.ts';
import { leftOut } from '../../model/plan/leftOut.ts';
import type { Plan, PlanRequest } from '../../model/plan/plan.ts';
import type { PlanInput } from '../../model/plan/planOptions.ts';
import { checkRequest } from '../../model/plan/planRequest.ts';
import type { CallContext, StepProgress } from '../../protocol/service.ts';
import { exactResults, type SpectraParts } from '../analysis/spectra.ts';
import { type Opened, refuseChanged, viewOf } from '../checkpoints/opened.ts';
import { planCandidates } from './planCandidates.ts';
import { weightsAlone } from './weightsAlone.ts';

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
  const made = makePlan(viewOf(opened), inputs, request);
  const note = await weightsAlone(opened, made.totals, signal);
  return note === undefined ? made : { ...made, notes: [note, ...(made.notes ?? [])] };
}
