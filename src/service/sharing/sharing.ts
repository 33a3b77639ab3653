import type { DeviceRequest } from '../../base/deviceInfo.ts';
import { RankscopeError } from '../../base/errors.ts';
import type { Evaluation } from '../../model/evaluation.ts';
import { isStored } from '../../model/matrix.ts';
import { inputNotes } from '../../model/plan/onInputs.ts';
import type { PlanRequest } from '../../model/plan/plan.ts';
import { compareBases, comparedPlans, sharedRequest } from '../../model/sharing/compareBases.ts';
import type { SharingReport, SharingRequest } from '../../model/sharing/sharing.ts';
import type { CallContext, EvaluateProgress, StepProgress } from '../../protocol/service.ts';
import type { SpectraParts } from '../analysis/spectra.ts';
import { distinctMatrices, type OpenCheckpoints, type Opened, refuseChanged, viewOf } from '../checkpoints/opened.ts';
import { evaluate } from '../evaluate/evaluate.ts';
import { spectraOnInputs } from '../plan/onInputs/planFrom.ts';
import { type MeasuredParts, measuredFor } from '../plan/onInputs/planMeasured.ts';
import { weightSpectra } from '../plan/weightSpectra.ts';
import { alikePairs } from './alikePairs.ts';
import { equalTensors, tiedByConfiguration } from './equalTensors.ts';
import { moduleAngles } from './moduleAngles.ts';

/**
 * What tensors and layers of a checkpoint have in common: equal and nearly equal tensors, principal angles between
 * layers, and shared bases beside independent factors; with a text, the perplexity of both.
 * @throws RankscopeError 'wrong-use' for a request out of range or an adapter
 */
export async function sharing(
  parts: MeasuredParts,
  checkpoints: OpenCheckpoints,
  opened: Opened,
  request: SharingRequest & DeviceRequest,
  { signal, progress }: CallContext<EvaluateProgress>,
): Promise<SharingReport> {
  checkRequest(request);
  const started = performance.now();
  const { devices } = parts;
  const { checkpoint } = opened;
  const engine = devices.settle(request);
  const step = (what: string) => (done: number, total: number, name: string) =>
    progress?.({ done, total, message: `${what}: ${name}` });
  return devices.hold(engine, signal, async (info) => {
    progress?.({ done: 0, total: 0, message: 'Equal tensors' });
    const equal = await equalTensors(opened, signal);
    const matrices = distinctMatrices(opened).filter(isStored);
    const { near, directions } = request;
    const alike = await alikePairs(matrices, { near, signal, progress: step('Nearly equal tensors') });
    const angles = await moduleAngles(devices, engine, matrices, { directions, signal, progress: step('Angles') });
    const planned = sharedRequest(request);
    const found = await spectraFor(parts, opened, request, planned, engine, {
      ...(signal && { signal }),
      progress: ({ done, total, message }) => step('Shared bases')(done, total, message),
    });
    const view = viewOf(opened);
    const spectra = { ...found, checkpoint: view };
    const plans = comparedPlans(spectra, planned);
    const bases = compareBases(spectra, request, plans);
    const evaluation = await measured(parts, checkpoints, request, plans, { signal, progress });
    await refuseChanged(checkpoint);
    const { path, parameters, bytes } = view;
    return {
      format: 'rankscope.sharing/1',
      checkpoint: { path, parameters, bytes },
      equal,
      tiedByConfiguration: tiedByConfiguration(opened),
      alike,
      angles,
      bases: { ...bases, ...(found.text && { inputs: found.text }), ...(evaluation && { evaluation }) },
      engine: info,
      seconds: (performance.now() - started) / 1000,
      notes: [...found.notes, ...notesOf(bases.groups.length, found.families.length, evaluation)],
    };
  });
}

/** Spectra of W, or with statistics of W X, and what a user must know of them. */
async function spectraFor(
  parts: MeasuredParts,
  opened: Opened,
  { activations }: SharingRequest,
  planned: PlanRequest,
  engine: DeviceRequest,
  context: CallContext<StepProgress>,
) {
  if (activations === undefined) {
    const { unusable, ...found } = await weightSpectra(parts, opened, planned, engine, context);
    return { ...found, text: undefined, notes: unusable.map(({ name, reason }) => `${name} is left out: ${reason}.`) };
  }
  const { subject, sensitivities } = await measuredFor(parts, opened, planned, { activations }, engine, context);
  const columns = new Map(subject.candidates.map(({ input: { name, shape } }) => [name, shape[1]]));
  return {
    ...spectraOnInputs({ request: planned }, subject, sensitivities),
    text: sensitivities.inputs,
    notes: inputNotes(sensitivities, columns),
  };
}

/** Both plans on the text of the request. */
async function measured(
  { devices }: SpectraParts,
  checkpoints: OpenCheckpoints,
  { path, text, activations, engine, threads }: SharingRequest & DeviceRequest,
  { independent, shared }: ReturnType<typeof comparedPlans>,
  { signal, progress }: { signal: AbortSignal | undefined; progress: CallContext<EvaluateProgress>['progress'] },
): Promise<Evaluation | undefined> {
  if (!text) return undefined;
  const plans = [
    { name: 'independent', plan: independent },
    { name: 'shared', plan: shared },
  ];
  const device = { ...(engine !== undefined && { engine }), ...(threads !== undefined && { threads }) };
  const context = { ...(signal && { signal }), ...(progress && { progress }) };
  const onInputs = activations === undefined ? {} : { activations };
  return evaluate(devices, checkpoints, { path, ...text, ...device, ...onInputs, plans }, context);
}

function checkRequest({ path, keep, layers, directions, near }: SharingRequest): void {
  const rules: readonly (readonly [string, number, boolean, string])[] = [
    ['keep', keep, keep > 0 && keep < 1, 'Give a share between 0 and 1'],
    ['layers', layers, Number.isSafeInteger(layers) && layers >= 1, 'Give a whole number of at least 1'],
    [
      'directions',
      directions,
      Number.isSafeInteger(directions) && directions >= 1 && directions <= MOST_DIRECTIONS,
      `Give a whole number from 1 to ${MOST_DIRECTIONS}`,
    ],
    ['near', near, near > 0 && near < 1, 'Give a relative difference between 0 and 1'],
  ];
  const wrong = rules.find(([, , isGood]) => !isGood);
  if (wrong) throw new RankscopeError('wrong-use', path, `${wrong[0]} is ${wrong[1]}`, wrong[3]);
}

/** A report holds one cosine for each direction and pair of layers. */
const MOST_DIRECTIONS = 64;

function notesOf(groups: number, families: number, evaluation: Evaluation | undefined): string[] {
  return [
    ...(families === 0
      ? ['No two matrices could share a factor: none read the same inputs, and none have neighbours.']
      : []),
    ...(families > 0 && groups === 0
      ? ['At this size, factors of their own lose no more anywhere than shared ones: none are shared.']
      : []),
    ...(evaluation?.notes ?? []),
  ];
}
