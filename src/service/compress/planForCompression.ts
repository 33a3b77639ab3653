import type { CompressionSchedule, CompressRequest } from '../../model/compression.ts';
import type { Plan } from '../../model/plan/plan.ts';
import type { Network } from '../../network/network.ts';
import { scoredTokens } from '../../network/score.ts';
import type { Cache } from '../cache/cache.ts';
import type { Opened } from '../checkpoints/opened.ts';
import { planOnInputs } from '../plan/onInputs/planOnInputs.ts';
import type { CompressionSteps } from './compressionSteps.ts';
import { planRequestOf } from './planRequest.ts';
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

/** Makes the plan of a compression, and measures for it what its request does not bring along. */
export async function planForCompression(parts: PlanParts): Promise<Plan> {
  const { opened, network, cache, text, schedule, steps, signal, onDevice } = parts;
  const request = await planRequestOf(parts);
  const { calibration: windows, text: facts } = text;
  const { measureSeconds } = schedule;
  return onDevice((backend, letOthers) =>
    planOnInputs({
      opened,
      network,
      backend,
      cache,
      request,
      known: parts.request.from?.sensitivities,
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
