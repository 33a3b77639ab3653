import { formatCount } from '../base/quantities.ts';
import type { BeforeAndAfter, CompressedBlock, CompressionReport, InputErrors } from '../model/compression.ts';
import { digits, percent, shortNames } from './table.ts';

/** The blocks of a compression, for a table. */
export function blockTable({ blocks }: CompressionReport) {
  return {
    headings: ['block', 'cut', 'dense', 'W X predicted', 'W X truncated', 'error truncated', 'refined', ''],
    rows: blocks.map((block) => [
      String(block.layer + 1),
      String(block.cut),
      String(block.dense),
      ...(block.inputErrors ? inputErrorCells(block.inputErrors) : ['-', '-']),
      digits(block.before),
      block.refined ? digits(block.after) : '-',
      gainOf(block),
    ]),
  };
}

/** The matrices that are factors now, for a table. */
export function matrixTable({ matrices }: CompressionReport) {
  const names = shortNames(matrices.map(({ name }) => name));
  return {
    headings: ['matrix', 'rank', 'W X predicted', 'W X truncated', 'error of W'],
    rows: matrices.map(({ name, rank, predictedError, inputError, measuredError }, index) => [
      names[index] ?? name,
      String(rank),
      ...inputErrorCells({ predicted: predictedError, measured: inputError ?? null }),
      percent(measuredError),
    ]),
  };
}

const inputErrorCells = ({ predicted, measured }: InputErrors): string[] => [
  percent(predicted),
  measured === null ? '-' : percent(measured),
];

/** The model before and after, for a table. */
export function measuredTable({ calibration, unseen }: CompressionReport) {
  return {
    headings: ['', 'tokens', 'before', 'after', 'difference', 'mean KL', 'same top'],
    rows: [measuredCells('calibration', calibration), ...(unseen ? [measuredCells('unseen', unseen)] : [])],
  };
}

function gainOf({ cut, before, after, refined, reason }: CompressedBlock): string {
  if (refined && before) return `${(100 * (after! / before - 1)).toFixed(1)} %`;
  return cut === 0 ? 'stays dense' : reason === null ? '' : 'as truncated';
}

function measuredCells(name: string, { scored, dense, compressed }: BeforeAndAfter): string[] {
  const { difference, differenceError, divergence, sameTop } = compressed;
  return [
    name,
    formatCount(scored),
    digits(dense.perplexity),
    digits(compressed.perplexity),
    `${difference > 0 ? '+' : ''}${digits(difference)} ± ${digits(differenceError)}`,
    digits(divergence.mean),
    percent(sameTop),
  ];
}
