import type { DeviceRequest } from '../../base/deviceInfo.ts';
import type { CompressionSchedule, CompressRequest } from '../../model/compression.ts';
import type { Plan } from '../../model/plan/plan.ts';
import { PLAN_DEFAULTS } from '../../model/plan/planRequest.ts';
import { ggufForm } from '../../network/ggufForm.ts';
import type { Network } from '../../network/network.ts';
import type { SpectraParts } from '../analysis/spectra.ts';
import type { Opened } from '../checkpoints/opened.ts';
import { plan, planCandidates } from '../plan/plan.ts';
import type { CompressionSteps } from './compressionSteps.ts';
import type { OnDevice } from './prepared.ts';
import type { PreparedText } from './textForCompression.ts';

interface PlanParts {
  readonly opened: Opened;
  readonly network: Network;
  readonly request: CompressRequest;
  readonly engine: DeviceRequest;
  readonly text: PreparedText;
  readonly schedule: CompressionSchedule;
  readonly steps: CompressionSteps;
  readonly signal: AbortSignal | undefined;
  readonly onDevice: OnDevice;
}

/** A plan for the matrices of the blocks, of which each is compressed by itself. */
export async function planForCompression(parts: SpectraParts, of: PlanParts): Promise<Plan> {
  const { opened, network, request, engine, steps, signal } = of;
  const exclude = await outsideBlocks(opened, network, signal);
  const context = { ...(signal && { signal }), progress: steps.of('plan') };
  const wanted = { ...PLAN_DEFAULTS, exclude, budget: { kind: 'keep', value: request.keep } } as const;
  return plan(parts, opened, wanted, engine, context);
}

/**
 * The matrices that no block has for itself: those outside the blocks, and those that several share, which cannot be
 * truncated for each.
 */
async function outsideBlocks(opened: Opened, network: Network, signal: AbortSignal | undefined): Promise<string[]> {
  const form = ggufForm(opened.checkpoint);
  const layers = `${network.prefix}${network.modules.layers}.`;
  const inside = (name: string) => (form?.namesOf(name) ?? [name]).every((own) => own.startsWith(layers));
  const candidates = await planCandidates(opened, signal);
  const shared = new Set(
    opened
      .ties()
      .filter(({ length }) => length > 1)
      .flat(),
  );
  return candidates.flatMap(({ matrix: { name, tensorName } }) =>
    inside(tensorName) && !shared.has(tensorName) ? [] : [name],
  );
}
