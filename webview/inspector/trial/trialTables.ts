import { formatCount, significant } from '../../../src/base/quantities.ts';
import type { TrialMatrix, TrialRank, TrialResult } from '../../../src/model/trial.ts';
import { element, fill } from '../../ui/dom.ts';
import { formatPercent, NONE } from '../../ui/format.ts';
import { type Column, firstPlace, showTable } from '../../ui/table.ts';
import { METHOD_NAMES } from './trialChoice.ts';

/** One factorization: a method at a rank. */
export interface Tried {
  readonly of: TrialRank;
  readonly result: TrialResult;
}

export const triedOf = ({ ranks }: TrialMatrix): Tried[] =>
  ranks.flatMap((of) => of.results.map((result) => ({ of, result })));

/** Errors of all methods at all ranks; a row is chosen for the pictures and the plan. */
export function showErrors(
  root: HTMLElement,
  matrix: TrialMatrix,
  chosen: Tried | undefined,
  onSelect: (tried: Tried) => void,
): void {
  const seen = matrix.normOnActivations !== undefined;
  const columns: Column<Tried>[] = [
    { head: 'Rank, method', text: ({ of, result }) => `${of.rank} ${METHOD_NAMES[result.method]}` },
    { head: 'Error', numeric: true, text: ({ result }) => formatPercent(result.error) },
    { head: 'Predicted', numeric: true, text: ({ result }) => predictionText(result) },
    ...(seen
      ? [
          {
            head: 'On the text',
            numeric: true,
            text: ({ result }: Tried) => (result.onActivations == null ? NONE : formatPercent(result.onActivations)),
          },
        ]
      : []),
    {
      head: 'Passes',
      numeric: true,
      text: ({ result: { cost } }) => (cost.passes === null ? 'in memory' : String(cost.passes)),
    },
    { head: 'Time', numeric: true, text: ({ result: { cost } }) => timeText(cost.seconds) },
  ];
  const rows = triedOf(matrix);
  showTable(
    root,
    {
      caption: 'Errors of the factorizations',
      columns,
      rows,
      onSelect,
      isSelected: ({ of, result }) => of.rank === chosen?.of.rank && result.method === chosen.result.method,
    },
    firstPlace(),
  );
}

/** Of probes with the band that holds the error in 99 of 100 trials. */
function predictionText({ predicted: { error, basis, band } }: TrialResult): string {
  const text = formatPercent(error);
  return basis === 'probes' ? `${text} (${significant(100 * band[0])} to ${significant(100 * band[1])})` : text;
}

/** y = W x beside y = B (A x) of each rank. */
export function showProducts(root: HTMLElement, { product, ranks, device }: TrialMatrix): void {
  const line = (name: string, { multiplyAdds, seconds }: TrialMatrix['product'], better: (batch: 1 | 128) => boolean) =>
    element(
      'tr',
      {},
      element('th', { text: name, attributes: { scope: 'row' } }),
      element('td', { class: 'numeric', text: formatCount(multiplyAdds) }),
      ...([1, 128] as const).map((batch) =>
        element('td', { class: `numeric${better(batch) ? ' faster' : ''}`, text: timeText(seconds[batch]) }),
      ),
    );
  const heads = ['Product', 'Multiply-adds', 'Time for 1', 'Time for 128'];
  fill(
    root,
    element(
      'table',
      { class: 'table' },
      element('caption', { class: 'faint', text: `Time on ${device}` }),
      element(
        'thead',
        {},
        element(
          'tr',
          {},
          ...heads.map((text, at) =>
            element('th', { class: at > 0 ? 'numeric' : '', text, attributes: { scope: 'col' } }),
          ),
        ),
      ),
      element(
        'tbody',
        {},
        line('W x', product, () => false),
        ...ranks.map(({ rank, product: own }) =>
          line(`B (A x), rank ${rank}`, own, (batch) => own.seconds[batch] < product.seconds[batch]),
        ),
      ),
    ),
  );
}

export function timeText(seconds: number): string {
  if (seconds >= 1) return `${significant(seconds)} s`;
  return seconds >= 1e-3 ? `${significant(1e3 * seconds)} ms` : `${significant(1e6 * seconds)} µs`;
}
