import { formatCount } from '../../base/quantities.ts';
import type { Evaluation, TextFacts, VariantEvaluation } from '../../model/evaluation.ts';
import { digits, percent } from '../table.ts';
import { windowsInWords } from '../textOptions.ts';
import type { Measured, Metric } from './conditions.ts';
import type { Judged } from './judgement.ts';

/** A number of every variant. */
function ofVariants(value: (variant: VariantEvaluation) => number | null): Metric<Evaluation>['values'] {
  return ({ variants }) => variants.map((variant) => ({ subject: variant.name, value: value(variant) }));
}

/** A number that the dense model has as well, which is judged itself if there is nothing beside it. */
function ofAll(key: 'perplexity' | 'loss'): Metric<Evaluation>['values'] {
  return ({ dense, variants }) =>
    variants.length === 0
      ? [{ subject: 'dense', value: dense[key] }]
      : variants.map((variant): Measured => ({ subject: variant.name, value: variant[key], whole: dense[key] }));
}

/** What `rankscope evaluate` measured, for conditions and reports. */
export const EVALUATION: Judged<Evaluation> = {
  command: 'evaluate',
  metrics: [
    { name: 'perplexity', meaning: 'of each variant', relativeTo: 'the model as it is', values: ofAll('perplexity') },
    { name: 'loss', meaning: 'of a token, in nats', relativeTo: 'the model as it is', values: ofAll('loss') },
    {
      name: 'difference',
      meaning: 'of the loss from that of the model as it is',
      values: ofVariants(({ difference }) => difference),
    },
    {
      name: 'kl',
      meaning: 'mean KL divergence of the predictions',
      values: ofVariants(({ divergence }) => divergence.mean),
    },
    { name: 'same-top', meaning: 'share of equal most likely tokens', values: ofVariants(({ sameTop }) => sameTop) },
    {
      name: 'error',
      meaning: 'predicted error of the weights',
      // A file does not say it.
      values: ({ variants }) =>
        variants.flatMap(({ name, kind, predictedError }) =>
          kind === 'file' ? [] : [{ subject: name, value: predictedError }],
        ),
    },
    {
      name: 'kept-of-model',
      meaning: 'share of all parameters',
      values: ofVariants(({ size }) => size.keptShareOfModel),
    },
  ],
  summary: (evaluation) => {
    const { checkpoint, text, engine, seconds, notes } = evaluation;
    return {
      title: `Evaluation of ${checkpoint.path}`,
      facts: [
        ['model', `${checkpoint.format}, ${formatCount(checkpoint.parameters)} parameters`],
        ['text', textLine(text)],
        ['engine', `${engine.device}, ${seconds.toFixed(1)} s`],
      ],
      tables: [evaluationTable(evaluation)],
      notes,
    };
  },
};

export function evaluationTable({ dense, variants }: Evaluation) {
  return {
    headings: ['', 'kept', 'of model', 'weights error', 'perplexity', 'difference', 'mean KL', '99 %', 'same top'],
    rows: [
      ['dense', '', '', '', digits(dense.perplexity), '', '', '', ''],
      ...variants.map((variant) => [variant.name, ...cells(variant)]),
    ],
  };
}

function cells({ size, predictedError, ...variant }: VariantEvaluation): string[] {
  const { perplexity, difference, differenceError, divergence, sameTop } = variant;
  return [
    size.cut ? percent(size.cut.keptShare) : '-',
    percent(size.keptShareOfModel),
    predictedError === null ? '-' : percent(predictedError),
    digits(perplexity),
    `${signed(difference)} ± ${digits(differenceError)}`,
    digits(divergence.mean),
    digits(divergence.q99),
    percent(sameTop),
  ];
}

const signed = (value: number) => (value > 0 ? `+${digits(value)}` : digits(value));

export function textLine(text: TextFacts): string {
  const { name, tokens, scored, dropped } = text;
  const rest = dropped > 0 ? `; ${formatCount(dropped)} are dropped` : '';
  return `${name}: ${formatCount(tokens)} tokens, ${formatCount(scored)} of them scored in ${windowsInWords(text)}${rest}.`;
}
