import { nameMatcher } from '../globs.ts';
import type { DenseRole } from '../names/roles.ts';
import type { PlanRequest } from './plan.ts';
import type { PlanInput } from './planOptions.ts';

/** What decides whether a matrix takes part in a plan. */
export type Candidate = Pick<PlanInput, 'name' | 'fixed' | 'kinds'>;

const KINDS: Readonly<Record<DenseRole, string>> = {
  embedding: 'an embedding',
  head: 'a head',
  router: 'a router',
  position: 'a position table',
  norm: 'a norm',
  stem: 'a stem',
};

/** The default of `include`, in words. */
export const DENSE_BY_DEFAULT =
  'By default, embeddings, heads, routers, position tables, norms and convolutional stems stay dense.';

/**
 * Why a matrix takes no part in the plan; undefined if it may be cut, or if its rank is set by hand. A matrix that is
 * dense by default takes part if its rank is set, or if the request includes its kind or its name.
 */
export function leftOut({ exclude, include = [], overrides }: PlanRequest): (matrix: Candidate) => string | undefined {
  const excluded = nameMatcher(exclude);
  const included = nameMatcher(include);
  return ({ name, fixed, kinds = [] }) => {
    if (fixed) return fixed;
    const byHand = Object.hasOwn(overrides, name) ? overrides[name] : undefined;
    if (typeof byHand === 'number') return undefined;
    const usual = kinds.length === 0 || kinds.some((kind) => include.some((word) => names(word, kind)));
    const takesPart = usual || included(name);
    if (byHand === null && takesPart) return undefined;
    if (excluded(name)) return 'excluded';
    return takesPart ? undefined : reasonOf(kinds);
  };
}

/** Words and globs of `include` that fit no matrix that is dense by default, such as a misspelt kind. */
export function idleIncludes(include: readonly string[], matrices: readonly Candidate[]): string[] {
  const kept = matrices.filter(({ kinds = [], fixed }) => kinds.length > 0 && !fixed);
  return include.filter((word) => {
    const matches = nameMatcher([word]);
    return !kept.some(({ name, kinds = [] }) => kinds.some((kind) => names(word, kind)) || matches(name));
  });
}

/** `embedding`, and its plural. */
function names(word: string, kind: DenseRole): boolean {
  return word === kind || word === `${kind}s`;
}

function reasonOf([first, second]: readonly DenseRole[]): string {
  const what = KINDS[first!];
  return `${second === undefined ? what : `${what} that is ${KINDS[second]} as well (tied)`}, dense by default`;
}
