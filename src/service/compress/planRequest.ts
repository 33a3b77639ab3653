import type { CompressRequest } from '../../model/compression.ts';
import { smallestShare } from '../../model/plan/allocate.ts';
import type { PlanRequest } from '../../model/plan/plan.ts';
import { PLAN_DEFAULTS } from '../../model/plan/planRequest.ts';
import { ggufForm } from '../../network/ggufForm.ts';
import type { Network } from '../../network/network.ts';
import type { Opened } from '../checkpoints/opened.ts';
import { type Candidate, planCandidates } from '../plan/planCandidates.ts';

interface PlanParts {
  readonly opened: Opened;
  readonly network: Network;
  readonly request: Pick<CompressRequest, 'keep'>;
  /** Whether the losses of the matrices are known, or are going to be measured. */
  readonly isByLoss: boolean;
  readonly signal: AbortSignal | undefined;
}

/**
 * The plan that a compression asks for: of the matrices of the blocks, by what cutting each costs in loss, or where
 * there is no time to measure that, by the energy of what it makes of its inputs.
 */
export async function planRequestOf({ opened, signal, ...parts }: PlanParts): Promise<PlanRequest> {
  return requestOf({ opened, ...parts }, await planCandidates(opened, signal));
}

/**
 * Says, if that is so, that no plan can be as small as is asked for: in one sentence, with the share that the floor of
 * the ranks allows. Known before anything is measured.
 */
export async function sizeNote({ opened, signal, ...parts }: PlanParts): Promise<string | undefined> {
  const candidates = await planCandidates(opened, signal);
  const least = smallestShare(
    candidates.map(({ input }) => input),
    requestOf({ opened, ...parts }, candidates),
  );
  return least > parts.request.keep * (1 + 1e-12) ? tooSmall(least, parts.request.keep) : undefined;
}

/** The plan's own words for this name options that a compression does not have. */
export function tooSmall(least: number, keep: number): string {
  const percent = (share: number) => `${Number((100 * share).toFixed(1))} %`;
  return `The size cannot be met: ${percent(least)} of what may be cut is the least that the floor of the ranks allows, ${percent(keep)} were asked for.`;
}

function requestOf(
  { opened, network, request: { keep }, isByLoss }: Omit<PlanParts, 'signal'>,
  candidates: readonly Candidate[],
): PlanRequest {
  return {
    ...PLAN_DEFAULTS,
    spread: isByLoss ? 'loss' : 'activations',
    exclude: outsideBlocks(opened, network, candidates),
    budget: { kind: 'keep', value: keep },
  };
}

/**
 * The matrices that no block has for itself: those outside the blocks, and those that several share, which cannot be
 * truncated for each.
 */
function outsideBlocks(opened: Opened, network: Network, candidates: readonly Candidate[]): string[] {
  const form = ggufForm(opened.checkpoint);
  const layers = `${network.prefix}${network.modules.layers}.`;
  const inside = (name: string) => (form?.namesOf(name) ?? [name]).every((own) => own.startsWith(layers));
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
