import type { PlanRequest } from '../../model/plan/plan.ts';
import { FIRST_REQUEST } from '../../model/plan/planRequest.ts';
import type { Memory } from '../sessions/memory.ts';

/** The plan request of one checkpoint, with its history. */
export interface Draft {
  readonly request: PlanRequest;
  /** Earlier requests, the latest last. */
  readonly before: readonly PlanRequest[];
  /** Requests that were undone, the latest last. */
  readonly after: readonly PlanRequest[];
}

const UNDO_LIMIT = 100;
/** Characters of the history that the workspace keeps: a request with many ranks set by hand is large. */
const KEPT_LIMIT = 1_000_000;

const FIRST: Draft = { request: FIRST_REQUEST, before: [], after: [] };

export function changed({ request: old, before }: Draft, request: PlanRequest): Draft {
  return { request, before: [...before, old].slice(-UNDO_LIMIT), after: [] };
}

/** The draft itself where there is nothing to undo. */
export function undone(draft: Draft): Draft {
  const request = draft.before.at(-1);
  if (!request) return draft;
  return { request, before: draft.before.slice(0, -1), after: [...draft.after, draft.request] };
}

/** The draft itself where nothing was undone. */
export function redone(draft: Draft): Draft {
  const request = draft.after.at(-1);
  if (!request) return draft;
  return { request, before: [...draft.before, draft.request], after: draft.after.slice(0, -1) };
}

export function readDraft(memory: Memory, path: string): Draft {
  const kept = memory.get<Draft | PlanRequest>(keyOf(path));
  if (!kept) return FIRST;
  // Earlier versions kept the request alone.
  return 'budget' in kept ? { ...FIRST, request: kept } : kept;
}

export function keepDraft(memory: Memory, path: string, { request, before, after }: Draft): void {
  void memory.update(keyOf(path), { request, before: latest(before), after: latest(after) });
}

/** As many of the latest requests as may be kept. */
function latest(requests: readonly PlanRequest[]): PlanRequest[] {
  const kept: PlanRequest[] = [];
  let length = 0;
  for (const request of [...requests].reverse()) {
    length += JSON.stringify(request).length;
    if (length > KEPT_LIMIT) break;
    kept.unshift(request);
  }
  return kept;
}

const keyOf = (path: string): string => `plan:${path}`;
