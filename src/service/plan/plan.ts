import type { DeviceRequest } from '../../base/deviceInfo.ts';
import { makePlan } from '../../model/plan/allocate.ts';
import type { Plan, PlanRequest } from '../../model/plan/plan.ts';
import { checkRequest } from '../../model/plan/planRequest.ts';
import type { CallContext, StepProgress } from '../../protocol/service.ts';
import type { SpectraParts } from '../analysis/spectra.ts';
import type { Opened } from '../checkpoints/opened.ts';
import { plannedCheckpoint } from './plannedCheckpoint.ts';
import { weightSpectra } from './weightSpectra.ts';
import { weightsAlone } from './weightsAlone.ts';

/** Makes a plan from exact spectra. */
export async function plan(
  parts: SpectraParts,
  opened: Opened,
  request: PlanRequest,
  engine: DeviceRequest,
  context: CallContext<StepProgress>,
): Promise<Plan> {
  checkRequest(request);
  const { inputs, families } = await weightSpectra(parts, opened, request, engine, context);
  const made = makePlan(plannedCheckpoint(opened), inputs, request, families);
  const note = await weightsAlone(opened, made.totals, context.signal);
  return note === undefined ? made : { ...made, notes: [note, ...(made.notes ?? [])] };
}
