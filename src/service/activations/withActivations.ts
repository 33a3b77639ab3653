import { matchStatistics } from '../../activations/matchStatistics.ts';
import { openStatistics } from '../../activations/openStatistics.ts';
import type { InputFactor } from '../../activations/statistics.ts';
import type { StatisticsSummary } from '../../model/activations.ts';
import { isStored } from '../../model/matrix.ts';
import type { Opened } from '../checkpoints/opened.ts';

/** Statistics of the inputs of a checkpoint's matrices. */
export interface Activations {
  readonly summary: StatisticsSummary;
  /** By the names of matrices. */
  readonly factors: ReadonlyMap<string, InputFactor>;
}

/**
 * Runs `use` with the statistics in the file at `path`, which stays open meanwhile; without a path, with none.
 * @throws RankscopeError as `openStatistics` and `matchStatistics` do
 */
export async function withActivations<Result>(
  opened: Opened,
  path: string | undefined,
  signal: AbortSignal | undefined,
  use: (activations: Activations | undefined) => Promise<Result>,
): Promise<Result> {
  if (path === undefined) return use(undefined);
  const statistics = await openStatistics(path, signal);
  try {
    const factors = matchStatistics(statistics, opened.checkpoint, opened.anatomy.matrices.filter(isStored));
    return await use({ summary: statistics.summary, factors: withTies(factors, opened.ties()) });
  } finally {
    await statistics.close();
  }
}

/** Of tied matrices, results are those of the first, whichever of them has statistics. */
function withTies(
  factors: ReadonlyMap<string, InputFactor>,
  groups: readonly (readonly string[])[],
): Map<string, InputFactor> {
  const all = new Map(factors);
  for (const [first = '', ...others] of groups) {
    const other = others.find((name) => factors.has(name));
    if (!factors.has(first) && other !== undefined) all.set(first, factors.get(other)!);
  }
  return all;
}
