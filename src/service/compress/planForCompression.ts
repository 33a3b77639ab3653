import type { CompressionSchedule, CompressRequest } from '../../model/compression.ts';
import type { Plan } from '../../model/plan/plan.ts';
import { PLAN_DEFAULTS } from '../../model/plan/planRequest.ts';
import { ggufForm } from '../../network/ggufForm.ts';
import type { Network } from '../../network/network.ts';
import { scoredTokens } from '../../network/score.ts';
import type { Cache } from '../cache/cache.ts';
import type { Opened } from '../checkpoints/opened.ts';
import { planOnInputs } from '../plan/onInputs/planOnInputs.ts';
import { planCandidates } from '../plan/planCandidates.ts';
import type { CompressionSteps } from './compressionSteps.ts';
import type { OnDevice } from './prepared.ts';
import type { PreparedText } from './textForCompression.ts';

interface PlanParts {
  readonly opened: Opened;
  readonly network: Network;
  readonly request: CompressRequest;
  readonly cache: Cache;
  readonly text: PreparedText;
  readonly schedule: CompressionSchedule;
  readonly steps: CompressionSteps;
  readonly signal: AbortSignal | undefined;
  readonly onDevice: OnDevice;
}

/**
 * A plan for the matrices of the blocks, by what cutting each costs in loss, or where there is no time to measure that,
 * by the energy of what it makes of its inputs.
 */
export async function planForCompression(parts: PlanParts): Promise<Plan> {
  const { opened, network, cache, text, schedule, steps, signal, onDevice } = parts;
  const exclude = await outsideBlocks(opened, network, signal);
  const { calibration: windows, text: facts } = text;
  const { measureSeconds } = schedule;
  const { keep, from } = parts.request;
  return onDevice((backend, letOthers) =>
    planOnInputs({
      opened,
      network,
      backend,
      cache,
      request: {
        ...PLAN_DEFAULTS,
        spread: measureSeconds === 0 && !from ? 'activations' : 'loss',
        exclude,
        budget: { kind: 'keep', value: keep },
      },
      known: from?.sensitivities,
      text: {
        windows,
        facts: {
          name: facts.name ?? 'a text that the network wrote itself',
          tokens: facts.tokens,
          windows: windows.length,
          context: facts.context,
          scored: scoredTokens(windows),
          dropped: facts.dropped,
          startToken: facts.startToken,
          tokenizer: facts.tokenizer,
        },
      },
      minutes: measureSeconds === null ? undefined : measureSeconds / 60,
      letOthers,
      signal,
      progress: steps.of('plan'),
    }),
  );
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
