import type { DeviceRequest } from '../../base/deviceInfo.ts';
import type { Plan } from '../../model/plan/plan.ts';
import { type SensitivityCurve, sensitivityCurves } from '../../model/plan/sensitivityCurves.ts';
import type { CallContext, StepProgress } from '../../protocol/service.ts';
import type { SpectraParts } from '../analysis/spectra.ts';
import type { Opened } from '../checkpoints/opened.ts';
import { plannedCheckpoint } from './plannedCheckpoint.ts';
import { refuseOther } from './refuseOther.ts';
import { weightSpectra } from './weightSpectra.ts';

/**
 * Error against size for the model of a plan. What no spectrum is known of is computed; nothing is measured on a text.
 * @throws RankscopeError 'wrong-use' for the plan of another checkpoint
 */
export async function planCurves(
  parts: SpectraParts,
  opened: Opened,
  plan: Plan,
  engine: DeviceRequest,
  context: CallContext<StepProgress>,
): Promise<SensitivityCurve[]> {
  refuseOther(plan, opened);
  const { share: _, ...request } = plan.request;
  const { inputs } = await weightSpectra(parts, opened, request, engine, context);
  return sensitivityCurves(plannedCheckpoint(opened), inputs, plan);
}
