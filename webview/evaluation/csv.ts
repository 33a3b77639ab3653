import { type Cell, csvText } from '../ui/csv.ts';
import type { Measured, TextRuns } from './texts.ts';

const COLUMNS: readonly (readonly [string, (measured: Measured) => Cell])[] = [
  ['variant', ({ variant }) => variant.name],
  ['kind', ({ variant }) => variant.kind],
  ['rank', ({ variant }) => variant.rank],
  ['perplexity', ({ variant }) => variant.perplexity],
  ['loss', ({ variant }) => variant.loss],
  ['lossError', ({ variant }) => variant.lossError],
  ['difference', ({ variant }) => variant.difference],
  ['differenceError', ({ variant }) => variant.differenceError],
  ['klMean', ({ variant }) => variant.divergence.mean],
  ['klMedian', ({ variant }) => variant.divergence.median],
  ['kl90', ({ variant }) => variant.divergence.q90],
  ['kl99', ({ variant }) => variant.divergence.q99],
  ['klMax', ({ variant }) => variant.divergence.max],
  ['sameTop', ({ variant }) => variant.sameTop],
  ['keptShare', ({ variant }) => variant.size.cut?.keptShare ?? null],
  ['keptShareOfModel', ({ variant }) => variant.size.keptShareOfModel],
  ['parametersOfModel', ({ variant }) => variant.size.parametersOfModel],
  ['predictedError', ({ variant }) => variant.predictedError],
  ['densePerplexity', ({ evaluation }) => evaluation.dense.perplexity],
  ['denseLoss', ({ evaluation }) => evaluation.dense.loss],
  ['text', ({ evaluation }) => evaluation.text.name],
  ['scored', ({ evaluation }) => evaluation.text.scored],
  ['context', ({ evaluation }) => evaluation.text.context],
  ['source', ({ evaluation }) => evaluation.source],
];

/** The variants of one text as comma-separated values: one line each, with the dense model and the text beside. */
export function evaluationCsv({ measured }: TextRuns): string {
  return csvText([COLUMNS.map(([head]) => head), ...measured.map((one) => COLUMNS.map(([, cell]) => cell(one)))]);
}
