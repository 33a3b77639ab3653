import type { MatrixFinding } from '../../src/model/findings.ts';
import { formatPercent, formatValue } from '../ui/format.ts';

const KINDS = { loha: 'LoHa', lokr: 'LoKr' } as const;

/** What an adapter does with its rank, in one line; empty for a matrix of a model. */
export function adapterText({ adapter, effectiveRank, energyRanks }: MatrixFinding): string {
  if (!adapter) return '';
  const { rank, scale, dead, dora, name, kind } = adapter;
  const subject = name === undefined ? 'Adapter' : `Adapter ${name}`;
  const kinds = [kind === undefined ? '' : KINDS[kind], dora ? 'DoRA' : ''].filter(Boolean).map((text) => `, ${text}`);
  const about = `${subject} of rank ${rank}, scale ${formatValue(scale)}${kinds.join('')}`;
  if (dead) return `${about} · dead: a factor is all zero, nothing is added`;
  const used = formatPercent(Number((effectiveRank / rank).toPrecision(2)));
  return `${about} · ${used} of its rank in use: effective rank ${formatValue(effectiveRank)}, 95 % of the energy in ${energyRanks['0.95']}`;
}
