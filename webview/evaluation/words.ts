import { formatCount, formatWhole, significant } from '../../src/base/quantities.ts';
import type { Evaluation, Score, VariantEvaluation } from '../../src/model/evaluation.ts';
import { formatPercent } from '../ui/format.ts';
import type { Measured } from './texts.ts';

/** A perplexity with four significant digits, above a million as a power of ten: `24.49`, `2374`, `5.81e7`. */
export function formatPerplexity(value: number): string {
  if (!Number.isFinite(value)) return 'infinite';
  if (value >= 1e6) return value.toExponential(2).replace('e+', 'e');
  return value >= 1000 ? formatWhole(value) : value.toPrecision(4);
}

/** A difference with its standard error, to two digits of that error: `+0.1021 ± 0.0042`. */
export function formatDifference(difference: number, error: number): string {
  const decimals = decimalsOf(error);
  const sign = difference < 0 ? '−' : '+';
  return `${sign}${Math.abs(difference).toFixed(decimals)} ± ${error.toFixed(decimals)}`;
}

/** A value with its standard error, to two digits of that error: `3.198 ± 0.030`. */
export function formatMeasured(value: number, error: number): string {
  const decimals = decimalsOf(error);
  return `${value.toFixed(decimals)} ± ${error.toFixed(decimals)}`;
}

/** Two significant digits of an error, as decimals. */
const decimalsOf = (error: number): number =>
  error > 0 ? Math.min(6, Math.max(0, 1 - Math.floor(Math.log10(error)))) : 4;

/** How much the perplexity changes: `+10.7 %`, `× 97`. */
export function changeText(difference: number): string {
  const factor = Math.exp(difference);
  if (factor >= 10) return `× ${formatPerplexity(factor)}`;
  const percent = (factor - 1) * 100;
  return `${percent < 0 ? '−' : '+'}${significant(Math.abs(percent))} %`;
}

/** Whether a difference is larger than chance would explain (about 95 %). */
export const isClear = ({ difference, differenceError }: VariantEvaluation): boolean =>
  Math.abs(difference) > 2 * differenceError;

/**
 * The ends of a perplexity's error bar. The tokens are the same as those of the dense model, so the error is that of
 * the paired difference: exp(dense loss + difference ± error).
 */
export function perplexityBar(dense: Score, { difference, differenceError }: VariantEvaluation): [number, number] {
  return [Math.exp(dense.loss + difference - differenceError), Math.exp(dense.loss + difference + differenceError)];
}

/** The share of the parameters that a plan may cut, if known, and that of the whole model. */
export function keptText({ size }: VariantEvaluation): string {
  const ofModel = `${formatPercent(size.keptShareOfModel)} of the model`;
  return size.cut ? `${formatPercent(size.cut.keptShare)} of what may be cut, ${ofModel}` : ofModel;
}

/** A measured variant in lines, its name first: for tooltips and screen readers. */
export function measuredLines({ variant, evaluation }: Measured): string[] {
  const { name, perplexity, difference, differenceError, divergence, sameTop, size, predictedError } = variant;
  return [
    name,
    `Perplexity ${formatPerplexity(perplexity)}, ${changeText(difference)} against ${formatPerplexity(evaluation.dense.perplexity)} of the dense model`,
    `Loss ${formatDifference(difference, differenceError)} nats per token${isClear(variant) ? '' : ': no clear difference on this text'}`,
    `KL divergence ${significant(divergence.mean)} on average, ${significant(divergence.q99)} at 99 %`,
    `Same most likely token at ${formatPercent(sameTop)} of the positions`,
    `${formatCount(size.parametersOfModel)} parameters: ${keptText(variant)}`,
    ...(predictedError === null ? [] : [`Predicted error of the weights: ${formatPercent(predictedError)}`]),
    `Measured by ${sourceText(evaluation)}`,
  ];
}

export function sourceText({ source, engine }: Evaluation): string {
  return source === 'transformers'
    ? `transformers${engine.name === '' || engine.name === 'transformers' ? '' : ` ${engine.name.replace(/^transformers\s*/, '')}`}`
    : 'Rankscope';
}
