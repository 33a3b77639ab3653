import { formatBytes, formatCount } from '../../base/quantities.ts';
import type { CompressionReport } from '../../model/compression.ts';
import { blockTable, matrixTable, measuredTable } from '../compressionTables.ts';
import { percent } from '../table.ts';
import type { Measured, Metric } from './conditions.ts';
import type { Judged } from './judgement.ts';

/** A number of the compressed model on text that the compression did not read. */
function unseen(
  value: (measured: NonNullable<CompressionReport['unseen']>) => Pick<Measured, 'value' | 'whole'>,
): Metric<CompressionReport>['values'] {
  return (report) => [
    { subject: report.unseen?.text ?? 'unseen text', ...(report.unseen ? value(report.unseen) : { value: null }) },
  ];
}

/** What `rankscope compress` reached, for conditions and reports. */
export const COMPRESSED: Judged<CompressionReport> = {
  command: 'compress',
  metrics: [
    {
      name: 'perplexity',
      meaning: 'on unseen text',
      relativeTo: 'the model before',
      values: unseen(({ compressed, dense }) => ({ value: compressed.perplexity, whole: dense.perplexity })),
    },
    {
      name: 'loss',
      meaning: 'of a token of unseen text, in nats',
      relativeTo: 'the model before',
      values: unseen(({ compressed, dense }) => ({ value: compressed.loss, whole: dense.loss })),
    },
    {
      name: 'difference',
      meaning: 'of that loss from the loss before',
      values: unseen(({ compressed }) => ({ value: compressed.difference })),
    },
    {
      name: 'kl',
      meaning: 'mean KL divergence on unseen text',
      values: unseen(({ compressed }) => ({ value: compressed.divergence.mean })),
    },
    {
      name: 'same-top',
      meaning: 'share of equal most likely tokens there',
      values: unseen(({ compressed }) => ({ value: compressed.sameTop })),
    },
    {
      name: 'matrix-error',
      meaning: 'measured error of the weights of any matrix',
      values: ({ matrices }) => matrices.map(({ name, measuredError }) => ({ subject: name, value: measuredError })),
    },
    {
      name: 'input-error',
      meaning: 'of W X of any matrix, as truncated',
      values: ({ matrices }) =>
        matrices.flatMap(({ name, inputError }) =>
          typeof inputError === 'number' ? [{ subject: name, value: inputError }] : [],
        ),
    },
    {
      name: 'bytes',
      meaning: 'of the written file',
      relativeTo: 'the source',
      values: ({ out, size }) => [{ subject: out, value: size.bytesAfter, whole: size.bytesBefore }],
    },
    {
      name: 'parameters',
      meaning: 'of the written file',
      relativeTo: 'the source',
      values: ({ out, size }) => [{ subject: out, value: size.parametersAfter, whole: size.parametersBefore }],
    },
  ],
  summary: (report) => {
    const { checkpoint, out, size, text, engine, seconds, notes } = report;
    return {
      title: `Compression of ${checkpoint.path}`,
      facts: [
        ['result', out],
        [
          'parameters that may be cut',
          `${formatCount(size.totals.parametersBefore)} became ${formatCount(size.totals.parametersAfter)} (${percent(size.totals.keptShare)})`,
        ],
        ['parameters', `${formatCount(size.parametersBefore)} became ${formatCount(size.parametersAfter)}`],
        ['size', `${formatBytes(size.bytesBefore)} became ${formatBytes(size.bytesAfter)}`],
        ['text', text.name ?? 'written by the model itself'],
        ['engine', `${engine.device}, ${seconds.toFixed(0)} s`],
      ],
      tables: [measuredTable(report), blockTable(report), matrixTable(report)],
      notes,
    };
  },
};
