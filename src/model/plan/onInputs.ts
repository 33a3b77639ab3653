import { formatCount } from '../../base/quantities.ts';
import { leftOut } from './leftOut.ts';
import type { Plan, PlanRequest } from './plan.ts';
import type { PlanInput } from './planOptions.ts';
import type { Sensitivities, Sensitivity } from './sensitivities.ts';

/** What is known of a matrix but for its spectrum. */
type Candidate = Omit<PlanInput, 'singularValues'>;

/** Why a matrix takes no part in a plan by what a text does. */
const UNKNOWN = 'no layer of the network reads its inputs, so that no text says what a rank loses';
const UNREACHED = 'no token of the text reached it';

/**
 * Matrices with what a text says about them. One of which it says nothing stays dense, with the reason: every cut of it
 * would seem to cost nothing.
 */
export function onInputs(
  candidates: readonly Candidate[],
  { matrices }: Sensitivities,
  request: PlanRequest,
): PlanInput[] {
  const known = new Map(matrices.map((each) => [each.name, each]));
  const reasonOf = leftOut(request);
  return candidates.map((candidate) => {
    if (reasonOf(candidate) !== undefined) return { ...candidate, singularValues: [] };
    const own = known.get(candidate.name);
    if (!own) return { ...candidate, singularValues: [], fixed: candidate.fixed ?? UNKNOWN };
    const { singularValues, rest, tokens } = own;
    return {
      ...candidate,
      singularValues,
      rest,
      ...(request.spread === 'loss' ? { weight: weightOf(own) } : {}),
      fixed: candidate.fixed ?? (tokens === 0 ? UNREACHED : null),
    };
  });
}

/** The divergence for each unit of energy that is lost, as measured at one rank. */
function weightOf({ divergence }: Sensitivity): number {
  if (!divergence || divergence.tail === 0) return 0;
  return divergence.value / divergence.tail;
}

/** `wiki.txt, 16K tokens`. */
export function inputsText({ text, tokens }: Sensitivities['inputs']): string {
  const count = tokens === null ? 'an unknown number of' : formatCount(tokens);
  return `${text ?? 'a text without a name'}, ${count} tokens`;
}

/** What users must know of the statistics, one sentence each. */
export function inputNotes(
  { inputs, divergences, matrices }: Sensitivities,
  columns: ReadonlyMap<string, number>,
): string[] {
  const short = matrices.filter(
    ({ name, tokens }) => tokens !== null && tokens > 0 && tokens < (columns.get(name) ?? 0),
  );
  const most = short.reduce((largest, { name }) => Math.max(largest, columns.get(name) ?? 0), 0);
  const fewest = short.reduce((least, { tokens }) => Math.min(least, tokens ?? least), Number.POSITIVE_INFINITY);
  const { measured, filledIn } = divergences ?? { measured: 0, filledIn: 0 };
  return [
    ...(short.length > 0
      ? [
          `${short.length} of ${matrices.length} matrices saw fewer tokens of ${inputs.text ?? 'the text'} (${fewest}) than they have columns (up to ${most}): what the text did not show is judged by guess, so take a longer one.`,
        ]
      : []),
    ...(filledIn > 0
      ? [
          `The time allowed measuring the KL divergence of ${measured} of ${measured + filledIn} matrices; it was filled in for the others from neighbouring layers.`,
        ]
      : []),
  ];
}

/** What users must know where the weights alone are truncated to the ranks of a plan; undefined if nothing. */
export function truncationNote(subject: string, { sensitivities }: Plan): string | undefined {
  if (!sensitivities) return undefined;
  return `${subject} has ranks for matrices that are truncated on what they read. Truncating the weights alone loses far more: apply it with --calibration.`;
}
