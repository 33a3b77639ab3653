import type { ModelDiff } from '../../src/model/diff/diff.ts';
import { csvText } from '../ui/csv.ts';

/** The compared matrices as comma-separated values, one line each. */
export function diffCsv({ matrices }: ModelDiff): string {
  const head = ['matrix', 'otherName', 'layer', 'module', 'role', 'state', 'change', 'cosine', 'largestDifference'];
  const more = ['rank99', 'stableRank', 'effectiveRank', 'valueChange', 'turnOutputs', 'turnInputs'];
  const lines = matrices.map((each) => [
    ...[each.name, each.otherName ?? null, each.layer, each.module, each.role, each.state],
    ...[each.change, each.cosine, each.largestDifference, each.difference?.energyRanks['0.99'] ?? null],
    ...[each.difference?.stableRank ?? null, each.difference?.effectiveRank ?? null, each.valueChange],
    ...[each.turn?.left.mean ?? null, each.turn?.right.mean ?? null],
  ]);
  return csvText([[...head, ...more], ...lines]);
}
