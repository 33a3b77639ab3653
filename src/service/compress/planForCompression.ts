import type { CompressionSchedule, CompressRequest } from '../../model/compression.ts';
import type { Plan } from '../../model/plan/plan.ts';
import type { Sensitivities } from '../../model/plan/sensitivities.ts';
import type { Network } from '../../network/network.ts';
import { scoredTokens } from '../../network/score.ts';
import type { SpectraParts } from '../analysis/spectra.ts';
import type { Opened } from '../checkpoints/opened.ts';
import { type KnownSensitivities, measurementKey } from '../plan/onInputs/knownSensitivities.ts';
import { measureSensitivities } from '../plan/onInputs/measureSensitivities.ts';
import { knownFor, planFrom, subjectOf } from '../plan/onInputs/planFrom.ts';
import type { CompressionSteps } from './compressionSteps.ts';
import { planRequestOf } from './planRequest.ts';
import type { OnDevice } from './prepared.ts';
import type { PreparedText } from './textForCompression.ts';

/** What plans are made with, and what earlier ones measured. */
export type PlanningParts = SpectraParts & { readonly known: KnownSensitivities };

interface Planned {
  readonly parts: PlanningParts;
  readonly opened: Opened;
  readonly network: Network;
  readonly request: CompressRequest;
  readonly text: PreparedText;
  readonly signal: AbortSignal | undefined;
}

interface PlanInCompression extends Planned {
  readonly schedule: CompressionSchedule;
  /** As `knownLosses` finds them. */
  readonly losses: Sensitivities | undefined;
  readonly steps: CompressionSteps;
  readonly onDevice: OnDevice;
}

/**
 * The losses that need not be measured: of the request's plan, or of any earlier measurement of this checkpoint on the
 * same windows that was not cut short.
 */
export async function knownLosses({ parts, text, ...asked }: Planned): Promise<Sensitivities | undefined> {
  const request = await planRequestOf({ ...asked, isByLoss: true });
  const subject = await subjectOf({ ...asked, request });
  return (
    knownFor(request, subject, asked.request.from?.sensitivities) ??
    knownFor(request, subject, await parts.known.find(keyOf(asked.opened, text), undefined))
  );
}

/** Makes the plan of a compression, and measures for it what is not known. */
export async function planForCompression(planned: PlanInCompression): Promise<Plan> {
  const { parts, opened, network, text, schedule, losses, steps, signal, onDevice } = planned;
  const { measureSeconds } = schedule;
  const request = await planRequestOf({ ...planned, isByLoss: losses !== undefined || measureSeconds !== 0 });
  const asked = { opened, network, request, signal };
  const subject = await subjectOf(asked);
  const minutes = measureSeconds === null ? undefined : measureSeconds / 60;
  const key = keyOf(opened, text);
  const known = losses ?? knownFor(request, subject, await parts.known.find(key, minutes));
  if (known) return planFrom(asked, subject, known);
  const { calibration: windows, text: facts } = text;
  const measured = await onDevice((backend, letOthers) =>
    measureSensitivities(
      {
        ...asked,
        backend,
        cache: parts.cache,
        text: {
          windows,
          facts: {
            name: nameOf(text),
            tokens: facts.tokens,
            windows: windows.length,
            context: facts.context,
            scored: scoredTokens(windows),
            dropped: facts.dropped,
            startToken: facts.startToken,
            tokenizer: facts.tokenizer,
          },
        },
        minutes,
        letOthers,
        progress: steps.of('plan'),
      },
      subject.placed,
    ),
  );
  await parts.known.keep(key, measured, minutes);
  return planFrom(asked, subject, measured);
}

const nameOf = ({ text }: PreparedText) => text.name ?? 'a text that the network wrote itself';

function keyOf({ checkpoint }: Opened, text: PreparedText): string {
  return measurementKey(checkpoint, { name: nameOf(text), windows: text.calibration });
}
