import { breakEvenRank } from '../../base/shape.ts';
import type { DenseRole } from '../../model/names/roles.ts';
import type { Plan, PlannedMatrix } from '../../model/plan/plan.ts';
import type { PlanOverview, PlanRows } from '../../protocol/page.ts';

/**
 * What the page shows of a plan at once. It asks for the matrices that it lists: those of a huge model are tens of
 * megabytes, and change with every edit.
 */
export function overviewOf({ matrices, sensitivities, ...rest }: Plan): PlanOverview {
  const { matrices: _, ...measured } = sensitivities ?? {};
  return {
    ...rest,
    ...(sensitivities ? { sensitivities: measured as PlanOverview['sensitivities'] & object } : {}),
    matrices: matrices.length,
    factorized: matrices.filter(({ rank }) => rank !== null).length,
    highestRank: matrices.reduce((most, { shape: [m, n] }) => Math.max(most, breakEvenRank(m, n)), 1),
    kinds: kindCounts(matrices),
  };
}

/** How many matrices are of each kind that is dense by default. */
function kindCounts(matrices: readonly PlannedMatrix[]): Partial<Record<DenseRole, number>> {
  const counts: Partial<Record<DenseRole, number>> = {};
  for (const { kinds = [] } of matrices) for (const kind of kinds) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

/** The first `count` matrices whose names contain every word of `filter`. */
export function planRows(plan: Plan | null, filter: string, count: number): PlanRows {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const matching = (plan?.matrices ?? []).filter(({ name }) => {
    const text = words.length > 0 ? name.toLowerCase() : '';
    return words.every((word) => text.includes(word));
  });
  return { matching: matching.length, matrices: matching.slice(0, count) };
}
