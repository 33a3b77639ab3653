import { formatBytes, formatCount } from '../../base/quantities.ts';
import type { Analysis, MatrixFinding } from '../../model/findings.ts';
import { analysisTable } from '../analysisTable.ts';
import type { Measured, Metric } from './conditions.ts';
import type { Judged } from './judgement.ts';

/** A rank of every matrix, of which `0.1x` is a tenth of the smaller side. */
function rank(name: string, meaning: string, value: (finding: MatrixFinding) => number): Metric<Analysis> {
  return {
    name,
    meaning,
    relativeTo: 'the smaller side',
    values: ({ matrices }) =>
      matrices.map((finding): Measured => {
        return { subject: finding.name, value: value(finding), whole: Math.min(...finding.shape) };
      }),
  };
}

/** What `rankscope analyze` found, for conditions and reports. */
export const ANALYZED: Judged<Analysis> = {
  command: 'analyze',
  metrics: [
    rank('effective-rank', 'of any matrix', ({ effectiveRank }) => effectiveRank),
    rank('stable-rank', 'of any matrix', ({ stableRank }) => stableRank),
    rank('numerical-rank', 'of any matrix', ({ numericalRank }) => numericalRank),
    rank('rank-90', 'rank that keeps 90 % of the energy', ({ energyRanks }) => energyRanks['0.9']),
    rank('rank-95', 'the same for 95 %', ({ energyRanks }) => energyRanks['0.95']),
    rank('rank-99', 'the same for 99 %', ({ energyRanks }) => energyRanks['0.99']),
    {
      name: 'alpha',
      meaning: 'power-law exponent of any matrix that has one',
      values: ({ matrices }) =>
        matrices.flatMap(({ name, alpha }) => (alpha === null ? [] : [{ subject: name, value: alpha }])),
    },
    {
      name: 'norm',
      meaning: 'spectral norm of any matrix',
      values: ({ matrices }) => matrices.map(({ name, spectralNorm }) => ({ subject: name, value: spectralNorm })),
    },
    {
      name: 'skipped',
      meaning: 'number of tensors that were not analyzed',
      values: ({ checkpoint, skipped }) => [{ subject: checkpoint.path, value: skipped.length }],
    },
  ],
  summary: (analysis) => {
    const { checkpoint, engine, skipped, warnings = [] } = analysis;
    return {
      title: `Ranks of ${checkpoint.path}`,
      facts: [
        [
          'checkpoint',
          `${checkpoint.format}, ${formatCount(checkpoint.parameters)} parameters, ${formatBytes(checkpoint.bytes)}`,
        ],
        ['engine', engine.device],
        ['not analyzed', `${skipped.length} of ${checkpoint.tensors} tensors`],
      ],
      tables: [analysisTable(analysis, false)],
      notes: warnings,
    };
  },
};
