import { RankscopeError } from '../../../base/errors.ts';
import { makePlan } from '../../../model/plan/allocate.ts';
import { leftOut } from '../../../model/plan/leftOut.ts';
import { inputNotes, onInputs } from '../../../model/plan/onInputs.ts';
import type { Plan, PlanRequest } from '../../../model/plan/plan.ts';
import { checkRequest } from '../../../model/plan/planRequest.ts';
import type { Sensitivities } from '../../../model/plan/sensitivities.ts';
import { refuseChanged } from '../../checkpoints/opened.ts';
import { type Candidate, planCandidates } from '../planCandidates.ts';
import { plannedCheckpoint } from '../plannedCheckpoint.ts';
import { familiesOnInputs, isSeen, measuredFamilies } from './groupCurves.ts';
import type { InputPlan } from './inputPlan.ts';
import { type PlacedMatrix, placedMatrices } from './placedMatrices.ts';

/** Singular values in a plan file, of eight digits each: more would exceed the size that is read again. */
const MOST_VALUES = 4_000_000;

/** What a plan is about. */
export interface PlanSubject {
  readonly candidates: readonly Candidate[];
  /** Those that may be cut, in their places. */
  readonly placed: readonly PlacedMatrix[];
}

type Asked = Pick<InputPlan, 'opened' | 'network' | 'request' | 'signal'>;

/** @throws RankscopeError 'unsupported' where no text says anything about what may be cut */
export async function subjectOf({ opened, network, request, signal }: Asked): Promise<PlanSubject> {
  checkRequest(request);
  const candidates = await planCandidates(opened, signal);
  const reasonOf = leftOut(request);
  const needed = candidates.filter(({ input }) => reasonOf(input) === undefined);
  const placed = placedMatrices(opened, network, needed);
  if (needed.length === 0 || placed.length > 0) return { candidates, placed };
  throw new RankscopeError(
    'unsupported',
    opened.checkpoint.path,
    `no layer of the network reads the inputs of any of the ${needed.length} matrices that may be cut`,
    'Plan from the weights alone (spread optimal)',
  );
}

/** What is known already, if it suffices. */
export function knownFor(
  request: PlanRequest,
  { placed }: PlanSubject,
  known: Sensitivities | undefined,
): Sensitivities | undefined {
  if (!known) return undefined;
  const byName = new Map(known.matrices.map((each) => [each.name, each]));
  const suffices = placed.every(({ matrix: { name } }) => {
    const own = byName.get(name);
    return own !== undefined && (request.spread !== 'loss' || own.divergence !== undefined || own.tokens === 0);
  });
  const isMeasured = measuredFamilies(familiesOnInputs(placed, request), known).every(({ groups, spectra }) =>
    groups.every((group) => spectra.has(group.name) || !isSeen(group, byName)),
  );
  return suffices && isMeasured ? known : undefined;
}

/** What a plan is made of, as far as a text tells. */
export function spectraOnInputs(
  { request }: Pick<Asked, 'request'>,
  { candidates, placed }: PlanSubject,
  sensitivities: Sensitivities,
) {
  const inputs = onInputs(
    candidates.map(({ input }) => input),
    sensitivities,
    request,
  );
  return { inputs, families: measuredFamilies(familiesOnInputs(placed, request), sensitivities) };
}

/** Makes a plan from what was measured, which it keeps. */
export async function planFrom(
  { opened, request }: Pick<Asked, 'opened' | 'request'>,
  subject: PlanSubject,
  sensitivities: Sensitivities,
): Promise<Plan> {
  await refuseChanged(opened.checkpoint);
  const { candidates } = subject;
  const { inputs, families } = spectraOnInputs({ request }, subject, sensitivities);
  const { unmet, notes: own = [], ...rest } = makePlan(plannedCheckpoint(opened), inputs, request, families);
  const columns = new Map(candidates.map(({ input: { name, shape } }) => [name, shape[1]]));
  const kept = [...sensitivities.matrices, ...(sensitivities.groups ?? [])];
  const values = kept.reduce((sum, { singularValues }) => sum + singularValues.length, 0);
  const isKept = values <= MOST_VALUES;
  const notes = [
    ...inputNotes(sensitivities, columns),
    ...(isKept ? [] : [`What was measured is too large to be kept with the plan: ${values} singular values.`]),
    ...own,
  ];
  return {
    ...rest,
    ...(isKept ? { sensitivities } : {}),
    ...(unmet === undefined ? {} : { unmet }),
    ...(notes.length === 0 ? {} : { notes }),
  };
}
