import { stat } from 'node:fs/promises';
import type { DeviceRequest } from '../../../base/deviceInfo.ts';
import type { Plan, PlanRequest } from '../../../model/plan/plan.ts';
import type { Sensitivities } from '../../../model/plan/sensitivities.ts';
import { openNetwork } from '../../../network/network.ts';
import { readWindows } from '../../../network/readWindows.ts';
import type { CallContext, EvaluateProgress, PlanSources } from '../../../protocol/service.ts';
import { withActivations } from '../../activations/withActivations.ts';
import type { SpectraParts } from '../../analysis/spectra.ts';
import type { Opened } from '../../checkpoints/opened.ts';
import { refuseTooManyTokens } from '../../evaluate/streamMemory.ts';
import { withCalibrationDefaults } from '../../truncation/calibrationText.ts';
import { refuseOther } from '../refuseOther.ts';
import { type KnownSensitivities, measurementKey } from './knownSensitivities.ts';
import { measureSensitivities } from './measureSensitivities.ts';
import { knownFor, type PlanSubject, planFrom, subjectOf } from './planFrom.ts';

/**
 * Makes a plan from statistics of activations, from a text, or from what an earlier plan measured. What is measured is
 * kept for the next plan of the same checkpoint and text.
 * @throws RankscopeError as `measureSensitivities` does; 'wrong-use' for statistics or a plan of another model, or a
 *   text that is too short
 */
export async function planMeasured(
  parts: MeasuredParts,
  opened: Opened,
  request: PlanRequest,
  sources: PlanSources,
  engine: DeviceRequest,
  context: CallContext<EvaluateProgress>,
): Promise<Plan> {
  const { subject, sensitivities } = await measuredFor(parts, opened, request, sources, engine, context);
  return planFrom({ opened, request }, subject, sensitivities);
}

export type MeasuredParts = SpectraParts & { readonly known: KnownSensitivities };

/** What a request needs to know of the text, from what is known already or measured. */
export async function measuredFor(
  parts: MeasuredParts,
  opened: Opened,
  request: PlanRequest,
  { activations: file, text, from, minutes }: PlanSources,
  engine: DeviceRequest,
  { signal, progress }: CallContext<EvaluateProgress>,
): Promise<{ readonly subject: PlanSubject; readonly sensitivities: Sensitivities }> {
  const { checkpoint } = opened;
  if (from) refuseOther(from, opened);
  const network = await openNetwork(checkpoint, { signal });
  const asked = { opened, network, request, signal };
  const subject = await subjectOf(asked);
  const files = [...checkpoint.files.map(({ path }) => path), file, text?.text, text?.ids];
  const name = JSON.stringify([await statesOf(files), text?.context, text?.tokens]);
  const known =
    knownFor(request, subject, from?.sensitivities) ?? knownFor(request, subject, parts.known.get(name, minutes));
  if (known) return { subject, sensitivities: known };
  const measure = async (): Promise<Sensitivities> => {
    if (text) progress?.({ done: 0, total: 0, message: 'Reading the text' });
    const windows =
      text && (await readWindows(checkpoint, network, withCalibrationDefaults(text, network.decoder.context), signal));
    if (windows) refuseTooManyTokens(network, windows, 1);
    const key =
      windows &&
      measurementKey(checkpoint, { name: windows.facts.name, windows: windows.windows }, await statesOf([file]));
    const kept = key && knownFor(request, subject, await parts.known.find(key, minutes));
    if (kept) return kept;
    const measured = await withActivations(opened, file, signal, (statistics) =>
      parts.devices.run(engine, checkpoint.path, { signal }, (backend, letOthers) => {
        const { cache } = parts;
        const input = { ...asked, backend, cache, text: windows, statistics, minutes, letOthers, progress };
        return measureSensitivities(input, subject.placed);
      }),
    );
    if (key) await parts.known.keep(key, measured, minutes);
    return measured;
  };
  const sensitivities = await measure();
  parts.known.put(name, sensitivities, minutes);
  return { subject, sensitivities };
}

/** Files as they are: path, size and time. */
async function statesOf(files: readonly (string | undefined)[]): Promise<unknown[]> {
  const states = [];
  for (const file of files) {
    const found = file === undefined ? undefined : await stat(file).catch(() => undefined);
    states.push([file, found?.size, found?.mtimeMs]);
  }
  return states;
}
