import type { MatrixFinding } from '../src/model/findings.ts';
import { formatPercent, formatValue } from './format.ts';

/** What an adapter does with its rank, in one line; empty for a matrix of a model. */
export function adapterText({ adapter, effectiveRank, energyRanks }: MatrixFinding): string {
  if (!adapter) return '';
  const { rank, scale, dead, dora } = adapter;
  const about = `Adapter of rank ${rank}, scale ${formatValue(scale)}${dora ? ', DoRA' : ''}`;
  if (dead) return `${about} · dead: B or A is all zero, nothing is added`;
  const used = formatPercent(Number((effectiveRank / rank).toPrecision(2)));
  return `${about} · ${used} of its rank in use: effective rank ${formatValue(effectiveRank)}, 95 % of the energy in ${energyRanks['0.95']}`;
}
