import { formatBytes, formatCount } from '../../base/quantities.ts';
import type { ApplyReport } from '../../protocol/service.ts';
import { percent, shortNames } from '../table.ts';
import type { Judged } from './judgement.ts';

/** What `rankscope apply` wrote, for conditions and reports. */
export const WRITTEN: Judged<ApplyReport> = {
  command: 'apply',
  metrics: [
    {
      name: 'error',
      meaning: 'measured error of all matrices together',
      values: ({ measuredError }) => [{ subject: 'the checkpoint', value: measuredError }],
    },
    {
      name: 'matrix-error',
      meaning: 'measured error of any matrix',
      values: ({ matrices }) => matrices.map(({ name, measuredError }) => ({ subject: name, value: measuredError })),
    },
    {
      name: 'input-error',
      meaning: 'measured error of W X, with --calibration',
      values: ({ matrices }) =>
        matrices.flatMap(({ name, inputError }) =>
          typeof inputError === 'number' ? [{ subject: name, value: inputError }] : [],
        ),
    },
    {
      name: 'bytes',
      meaning: 'of the written file',
      relativeTo: 'the source',
      values: ({ out, bytesAfter, bytesBefore }) => [{ subject: out, value: bytesAfter, whole: bytesBefore }],
    },
    {
      name: 'parameters',
      meaning: 'of the written file',
      relativeTo: 'the source',
      values: ({ out, parametersAfter, parametersBefore }) => [
        { subject: out, value: parametersAfter, whole: parametersBefore },
      ],
    },
  ],
  summary: (report) => ({
    title: `Plan applied: ${report.out}`,
    facts: [
      ['parameters', `${formatCount(report.parametersBefore)} became ${formatCount(report.parametersAfter)}`],
      ['size', `${formatBytes(report.bytesBefore)} became ${formatBytes(report.bytesAfter)}`],
      ['measured error of all matrices together', percent(report.measuredError)],
      ...(report.code === null ? [] : [['code', report.code] as const]),
    ],
    tables: [writtenTable(report)],
    notes: report.remarks ?? [],
  }),
};

export function writtenTable({ matrices, calibration }: ApplyReport) {
  const names = shortNames(matrices.map(({ name }) => name));
  return {
    headings: ['matrix', 'rank', 'predicted error', 'measured error', ...(calibration ? ['error of W X'] : [])],
    rows: matrices.map(({ name, rank, predictedError, measuredError, inputError }, index) => [
      names[index] ?? name,
      String(rank),
      percent(predictedError),
      percent(measuredError),
      ...(calibration ? [inputError === null || inputError === undefined ? '-' : percent(inputError)] : []),
    ]),
  };
}
