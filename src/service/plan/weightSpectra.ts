import type { DeviceRequest } from '../../base/deviceInfo.ts';
import { throwIfCancelled } from '../../base/errors.ts';
import { isStored, type Matrix } from '../../model/matrix.ts';
import { leftOut } from '../../model/plan/leftOut.ts';
import type { PlanRequest } from '../../model/plan/plan.ts';
import type { PlanInput } from '../../model/plan/planOptions.ts';
import { isShared } from '../../model/plan/planRequest.ts';
import type { SharedSpectra } from '../../model/sharing/selectShared.ts';
import type { CallContext, StepProgress } from '../../protocol/service.ts';
import { exactResults, type SpectraParts } from '../analysis/spectra.ts';
import { type Opened, refuseChanged } from '../checkpoints/opened.ts';
import { familiesOf } from '../sharing/familiesOf.ts';
import { sharedSpectra } from '../sharing/sharedSpectra.ts';
import { planCandidates } from './planCandidates.ts';

/** What a plan from the weights alone is made of. */
export interface WeightSpectra {
  readonly inputs: readonly PlanInput[];
  /** Which matrices may share a factor; none unless the request asks for it. */
  readonly families: readonly SharedSpectra[];
  /** Matrices without a spectrum, each with the reason. */
  readonly unusable: readonly { readonly name: string; readonly reason: string }[];
}

/**
 * The exact spectra that a plan needs; those that are not known yet are computed. A matrix without a spectrum stays
 * dense, with the reason.
 */
export async function weightSpectra(
  parts: SpectraParts,
  opened: Opened,
  request: PlanRequest,
  engine: DeviceRequest,
  { signal, progress }: CallContext<StepProgress>,
): Promise<WeightSpectra> {
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
  const normed = needed.flatMap((matrix, index) => {
    const norm = results[index]?.measures.frobeniusNorm;
    return norm !== undefined && isStored(matrix) && !Object.hasOwn(request.overrides, matrix.name)
      ? [{ matrix, norm }]
      : [];
  });
  const usable = normed.filter(({ norm }) => norm > 0).map(({ matrix }) => matrix);
  const families = isShared(request) ? familiesOf(usable, request.share!) : [];
  const total = families.reduce((sum, { groups }) => sum + groups.length, 0);
  const shared = await sharedSpectra(parts, families, normed, engine, {
    signal,
    progress: (done, name) => progress?.({ done, total, message: name }),
  });
  throwIfCancelled(signal, opened.checkpoint.path);
  await refuseChanged(opened.checkpoint);
  return {
    inputs: candidates.map(({ matrix, input }) => ({
      ...input,
      singularValues: values.get(matrix) ?? [],
      fixed: unusable.get(matrix) ?? matrix.fixed,
    })),
    families: shared,
    unusable: [...unusable].map(([{ name }, reason]) => ({ name, reason })),
  };
}
