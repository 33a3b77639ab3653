import { basename } from 'node:path';
import type { DeviceRequest } from '../../base/deviceInfo.ts';
import type { GenerateRequest } from '../../model/generation.ts';
import { planName } from '../evaluation/planName.ts';
import type { PlanDesk } from '../plan/planDesk.ts';
import { readPlan } from '../plan/planFiles.ts';

/** What continues a prompt beside the dense model: nothing, or one of the others. */
export interface Beside {
  readonly alone?: boolean;
  /** Whether the plan of the side bar does. */
  readonly plan?: boolean;
  readonly planFile?: string;
  /** Another checkpoint of the same network. */
  readonly file?: string;
}

export interface PromptTask {
  readonly path: string;
  readonly prompt: string;
  readonly beside: Beside;
  /** The most tokens to add; the default of the service if left out. */
  readonly tokens?: number | undefined;
}

/**
 * What the service is asked for; the plan of the side bar is made first.
 * @throws RankscopeError for a plan that cannot be read or made
 */
export async function promptRequest(
  { path, prompt, beside, tokens }: PromptTask,
  desk: Pick<PlanDesk, 'compute'>,
  device: DeviceRequest,
): Promise<GenerateRequest> {
  return {
    ...{ path, prompt },
    ...(tokens === undefined ? {} : { tokens }),
    ...(await variantOf(beside, desk)),
    ...device,
  };
}

export function isChosen({ alone, plan, planFile, file }: Beside): boolean {
  return alone === true || plan === true || planFile !== undefined || file !== undefined;
}

async function variantOf(
  { plan, planFile, file }: Beside,
  desk: Pick<PlanDesk, 'compute'>,
): Promise<Pick<GenerateRequest, 'plan' | 'file'>> {
  if (file !== undefined) return { file };
  if (planFile !== undefined) return { plan: { name: basename(planFile), plan: await readPlan(planFile) } };
  if (!plan) return {};
  const made = await desk.compute();
  return { plan: { name: planName(made), plan: made } };
}
