import { groupBy } from '../../base/groupBy.ts';
import type { Place } from '../findings.ts';
import { dotted, unwrap } from '../names/namePath.ts';
import type { Role } from '../names/roles.ts';
import type { MatchedBy } from './diff.ts';
import { fromMetaNames } from './metaNames.ts';

/** A matrix or another tensor of a checkpoint, as far as matching needs it. */
export interface Matchable {
  /** The tensor's name; `name[3]` for a slice of a stack. */
  readonly name: string;
  /** [out, in] of a matrix. */
  readonly shape: readonly number[];
  /** Where a matrix sits; null for other tensors. */
  readonly place: (Place & { readonly role: Role; readonly expert: number | null }) | null;
}

/** Two tensors that belong together, or a part of the outputs of a fused one and the whole of the other. */
export interface Match<One extends Matchable> {
  readonly base: One;
  readonly other: One;
  readonly by: MatchedBy;
  /** The rows of the base that are compared: from, and behind the last. Whole tensors by default. */
  readonly baseRows?: readonly [number, number];
  readonly otherRows?: readonly [number, number];
}

export interface Matches<One extends Matchable> {
  readonly matches: readonly Match<One>[];
  readonly missing: readonly One[];
  readonly added: readonly One[];
}

/**
 * Pairs the tensors of two checkpoints: by equal names; by names without wrappers such as `model.` and `_orig_mod.` and
 * without what all other names begin with; by layer and role, where no other tensor has both; and the parts of fused
 * projections (q, k, v in this order, or gate and up) with separate ones. Whatever matches first is not tried again.
 */
export function matchTensors<One extends Matchable>(base: readonly One[], other: readonly One[]): Matches<One> {
  const [left, right] = [new Set(base), new Set(other)];
  const matches: Match<One>[] = [];
  const pair = (by: MatchedBy, keysOf: (side: ReadonlySet<One>) => (item: One) => string | null) => {
    const theirs = unique(right, keysOf(right));
    for (const [key, item] of unique(left, keysOf(left))) {
      const twin = theirs.get(key);
      if (!twin) continue;
      matches.push({ base: item, other: twin, by });
      left.delete(item);
      right.delete(twin);
    }
  };
  pair(
    'name',
    () =>
      ({ name }) =>
        name,
  );
  pair('prefix', (side) => {
    const rename = fromMetaNames([...side].map(({ name }) => name));
    return ({ name }) => unwrap(rename(name));
  });
  pair('prefix', (side) => {
    const prefix = commonPrefix([...side].map(({ name }) => dotted(name)));
    return ({ name }) => dotted(name).slice(prefix.length);
  });
  pair('place', () => placeKey);
  matches.push(...fusedMatches(left, right, false), ...fusedMatches(right, left, true));
  const order = new Map(base.map((item, index) => [item, index]));
  matches.sort((a, b) => order.get(a.base)! - order.get(b.base)!);
  return { matches, missing: [...left], added: [...right] };
}

/** Items by keys that only one of them has. */
function unique<One>(items: Iterable<One>, keyOf: (item: One) => string | null): Map<string, One> {
  const found = new Map<string, One>();
  for (const [key, group] of groupBy(items, (item) => keyOf(item) ?? ''))
    if (key !== '' && group.length === 1) found.set(key, group[0]!);
  return found;
}

/** What all dotted names begin with, up to a dot. */
function commonPrefix(names: readonly string[]): string {
  const [first = '', ...others] = names;
  let prefix = others.length > 0 ? first.slice(0, first.lastIndexOf('.') + 1) : '';
  while (prefix !== '' && !others.every((name) => name.startsWith(prefix)))
    prefix = prefix.slice(0, prefix.lastIndexOf('.', prefix.length - 2) + 1);
  return prefix;
}

function placeKey({ place }: Matchable): string | null {
  if (!place || place.role === 'other' || place.role === 'norm' || place.role === 'adapter') return null;
  const { stack = '', layer, role, expert } = place;
  return JSON.stringify([stack, layer, role, expert]);
}

const FUSED: Partial<Record<Role, readonly Role[]>> = { qkv: ['query', 'key', 'value'], gateUp: ['gate', 'up'] };

/** Takes matches of fused matrices in `whole` with separate ones in `parts`. */
function fusedMatches<One extends Matchable>(whole: Set<One>, parts: Set<One>, swapped: boolean): Match<One>[] {
  const found: Match<One>[] = [];
  const byPlace = unique(parts, placeKey);
  for (const fused of [...whole]) {
    const { place } = fused;
    const roles = place && FUSED[place.role];
    if (!roles) continue;
    const own = roles.map((role) => byPlace.get(placeKey({ ...fused, place: { ...place, role } })!));
    const outputs = own.reduce((sum, part) => sum + (part?.shape[0] ?? Number.NaN), 0);
    if (outputs !== fused.shape[0] || own.some((part) => part?.shape[1] !== fused.shape[1])) continue;
    let from = 0;
    for (const part of own as One[]) {
      const rows = [from, from + part.shape[0]!] as const;
      found.push(
        swapped
          ? { base: part, other: fused, by: 'fused', otherRows: rows }
          : { base: fused, other: part, by: 'fused', baseRows: rows },
      );
      from = rows[1];
      parts.delete(part);
    }
    whole.delete(fused);
  }
  return found;
}
