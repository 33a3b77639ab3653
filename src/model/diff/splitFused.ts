import type { Role } from '../names/roles.ts';
import type { AttentionHeads } from './diff.ts';
import type { Match, Matchable } from './matchTensors.ts';

/** A match whose rows have a role of their own: the queries, keys or values of a fused projection in both models. */
export interface RoleMatch<One extends Matchable> extends Match<One> {
  readonly role?: Role;
}

/** Fused projections that hold all queries, then all keys, then all values. Others interleave heads or groups. */
const BY_PART = /(^|\.)(self_attn\.qkv_proj|W_pack|Wqkv|in_proj_weight|attn\.qkv)(\.weight)?$/;
/** GPT-2's, which is stored as (in, out); that of GPT-BigCode is not, and interleaves. */
const CONV1D = /(^|\.)c_attn\.weight$/;

/** Takes a projection that is fused in both models apart into queries, keys and values, where these are in order. */
export function splitFused<One extends Matchable & { readonly matrix: { readonly transposed: boolean } | null }>(
  match: Match<One>,
  heads: AttentionHeads | null,
): readonly RoleMatch<One>[] {
  const { base, other } = match;
  const isOrdered = ({ name, matrix }: One) => BY_PART.test(name) || (CONV1D.test(name) && matrix?.transposed === true);
  const [outputs = 0] = base.shape;
  const isFused = base.place?.role === 'qkv' && other.place?.role === 'qkv' && other.shape[0] === outputs;
  if (!isFused || !heads || !isOrdered(base) || !isOrdered(other)) return [match];
  const size = outputs / (heads.queries + 2 * heads.keys);
  if (!Number.isInteger(size)) return [match];
  let from = 0;
  return (['query', 'key', 'value'] as const).map((role) => {
    const rows = [from, from + size * (role === 'query' ? heads.queries : heads.keys)] as const;
    from = rows[1];
    return { ...match, role, baseRows: rows, otherRows: rows };
  });
}
