import { groupBy } from '../../base/groupBy.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { groupKey } from '../../model/experts.ts';
import type { Matrix } from '../../model/matrix.ts';
import type { DenseRole } from '../../model/names/roles.ts';
import type { PlanInput } from '../../model/plan/planOptions.ts';

type MultiplyAdds = NonNullable<PlanInput['multiplyAdds']>;
type Named = Readonly<Record<string, unknown>>;

/** How many experts a token passes, in Hugging Face's configurations and in GGUF's metadata. */
const USED_EXPERTS =
  /^(num_experts_per_tok|num_experts_per_token|experts_per_token|num_selected_experts|num_activated_experts|n_activated_experts|moe_top_?k|moe_topk|top_k_experts|router_top_k|expert_used_count)$/;
/** A configuration is nested a few levels deep at most; deeper ones are cut off. */
const MAX_DEPTH = 4;

/**
 * Multiply-adds for one token of a matrix and of each rank of its factors: m n and m + n, but an embedding or a table
 * of positions looks up a row, which costs nothing dense and n for each rank of factors; an embedding that is the head
 * as well is multiplied with once; and a token passes a few experts of a layer, or all if no configuration says how
 * many. A convolution counts once for each position of its output.
 */
export function multiplyAddsOf(
  { configuration, metadata }: Pick<Checkpoint, 'configuration' | 'metadata'>,
  matrices: readonly Matrix[],
  kindsOf: (matrix: Matrix) => readonly DenseRole[],
): (matrix: Matrix) => MultiplyAdds {
  const used = usedExperts(configuration, metadata);
  const experts = groupBy(
    matrices.filter(({ expert }) => expert !== null),
    groupKey,
  );
  return (matrix) => {
    const [m, n] = matrix.shape;
    const all = matrix.expert === null ? 1 : experts.get(groupKey(matrix))!.length;
    const share = used === undefined ? 1 : Math.min(1, used / all);
    const kinds = kindsOf(matrix);
    const isTable = matrix.role === 'embedding' || matrix.role === 'position';
    if (isTable) return kinds.includes('head') ? { dense: m * n, perRank: m + 2 * n } : { dense: 0, perRank: n };
    return { dense: share * m * n, perRank: share * (m + n) };
  };
}

function usedExperts(configuration: Named | undefined, metadata: ReadonlyMap<string, string>): number | undefined {
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 1;
  const search = (part: Named, depth: number): number | undefined => {
    for (const [key, value] of Object.entries(part)) if (USED_EXPERTS.test(key) && isCount(value)) return value;
    for (const value of Object.values(part)) {
      if (depth >= MAX_DEPTH || typeof value !== 'object' || value === null || Array.isArray(value)) continue;
      const found = search(value as Named, depth + 1);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  const configured = search(configuration ?? {}, 0);
  if (configured !== undefined) return configured;
  for (const [key, value] of metadata)
    if (USED_EXPERTS.test(key.slice(key.lastIndexOf('.') + 1)) && isCount(Number(value))) return Number(value);
  return undefined;
}
