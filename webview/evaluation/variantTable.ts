import { formatCount, significant } from '../../src/base/quantities.ts';
import type { VariantEvaluation } from '../../src/model/evaluation.ts';
import { formatPercent, NONE } from '../ui/format.ts';
import { type Column, showTable, type TablePlace } from '../ui/table.ts';
import type { Measured, TextRuns } from './texts.ts';
import { changeText, formatDifference, formatPerplexity, sourceText } from './words.ts';

/** Every measured variant as a row; the dense model is named above the table. */
export function showVariants(
  root: HTMLElement,
  { measured, runs }: TextRuns,
  place: TablePlace,
  { selected, select }: { readonly selected: string | null; readonly select: (id: string) => void },
): void {
  const hasSources = new Set(runs.map(({ source }) => source)).size > 1;
  showTable<Measured>(
    root,
    {
      caption: 'Measured variants',
      rows: measured,
      columns: [
        { head: 'Variant', text: ({ variant }) => variant.name, order: ({ variant }) => variant.name },
        number('Perplexity', ({ perplexity }) => perplexity, formatPerplexity),
        number('Change', ({ difference }) => difference, changeText),
        {
          ...number('Loss difference', ({ difference }) => difference, String),
          text: ({ variant }) => formatDifference(variant.difference, variant.differenceError),
        },
        number('KL mean', ({ divergence }) => divergence.mean),
        number('KL 99 %', ({ divergence }) => divergence.q99),
        number('Same top token', ({ sameTop }) => sameTop, formatPercent),
        number('Kept of what may be cut', ({ size }) => size.cut?.keptShare ?? null, formatPercent),
        number('Kept of the model', ({ size }) => size.keptShareOfModel, formatPercent),
        number('Parameters', ({ size }) => size.parametersOfModel, formatCount),
        number('Predicted error', ({ predictedError }) => predictedError, formatPercent),
        ...(hasSources ? [{ head: 'Measured by', text: ({ evaluation }: Measured) => sourceText(evaluation) }] : []),
      ],
      onSelect: ({ id }) => select(id),
      isSelected: ({ id }) => id === selected,
    },
    place,
  );
}

function number(
  head: string,
  value: (variant: VariantEvaluation) => number | null,
  text: (value: number) => string = significant,
): Column<Measured> {
  return {
    head,
    numeric: true,
    text: ({ variant }) => {
      const shown = value(variant);
      return shown === null ? NONE : text(shown);
    },
    order: ({ variant }) => value(variant),
  };
}
