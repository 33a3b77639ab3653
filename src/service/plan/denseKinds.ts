import type { Matrix } from '../../model/matrix.ts';
import { type DenseRole, isDenseRole } from '../../model/names/roles.ts';
import type { PlanInput } from '../../model/plan/planOptions.ts';

/** What a plan must know of a matrix that is dense by default. */
type DenseKinds = Required<Pick<PlanInput, 'kinds'>> & Pick<PlanInput, 'caution'>;

/** The network around the matrices of a plan. */
interface Network {
  readonly matrices: readonly Matrix[];
  /** Groups of tied tensors, by name. */
  readonly ties: readonly (readonly string[])[];
  /** An embedding that is known to be the head as well, and the head's name, which the file does not have. */
  readonly tiedHead?: { readonly embedding: string; readonly head: string } | undefined;
}

/**
 * The matrices that are dense by default, each with its kinds and those of the tensors tied to it, and with what users
 * must know before it is cut.
 */
export function denseKinds({ matrices, ties, tiedHead }: Network): ReadonlyMap<Matrix, DenseKinds> {
  const groups = new Map(ties.flatMap((group) => group.map((name) => [name, group] as const)));
  const roles = new Map<string, DenseRole>();
  for (const { tensorName, role } of matrices) if (isDenseRole(role)) roles.set(tensorName, role);
  if (tiedHead) roles.set(tiedHead.head, 'head');
  const vocabulary = matrices.reduce(
    (most, { role, layer, shape }) => (role === 'embedding' && layer === null ? Math.max(most, shape[0]) : most),
    0,
  );
  // A head may be padded, or cut to the tokens in use.
  const hasHead = matrices.some(({ role, shape }) => role === 'head' && 2 * shape[0] > vocabulary);
  const found = new Map<Matrix, DenseKinds>();
  for (const matrix of matrices) {
    const { tensorName, role, shape } = matrix;
    const group = new Set([tensorName, ...(groups.get(tensorName) ?? [])]);
    if (tiedHead && group.has(tiedHead.embedding)) group.add(tiedHead.head);
    const kinds = [...new Set([...group].flatMap((name) => roles.get(name) ?? []))];
    if (kinds.length === 0) continue;
    group.delete(tensorName);
    const mayBeHead = role === 'embedding' && shape[0] === vocabulary && !hasHead && !kinds.includes('head');
    const caution = [
      ...(group.size > 0 ? [alsoCuts(tensorName, [...group], roles)] : []),
      ...(mayBeHead ? [mayCutHead(tensorName)] : []),
    ].join(' ');
    found.set(matrix, { kinds, ...(caution && { caution }) });
  }
  return found;
}

function alsoCuts(name: string, others: readonly string[], roles: ReadonlyMap<string, DenseRole>): string {
  const named = (one: string) => (roles.has(one) ? `the ${roles.get(one)} ${one}` : one);
  const what = others.map(named).join(' and ');
  return `Cutting ${named(name)} also cuts ${what}, which ${others.length > 1 ? 'are' : 'is'} tied to it.`;
}

function mayCutHead(name: string): string {
  return `The checkpoint has no head of its own: if the model uses the embedding ${name} as its head (tied), as many language models do, both embedding and head are cut.`;
}
