import { formatCount } from '../../src/base/quantities.ts';
import { inputsText } from '../../src/model/plan/onInputs.ts';
import type { SharedBases, SharedGroup, SizeComparison } from '../../src/model/sharing/sharing.ts';
import { createPointChart, type PointChart } from '../charts/pointChart.ts';
import type { Theme } from '../charts/theme.ts';
import { button } from '../ui/controls.ts';
import { element, fill, setText } from '../ui/dom.ts';
import { formatPercent, formatValue, NONE } from '../ui/format.ts';
import { firstPlace, showTable } from '../ui/table.ts';

/** Shared beside independent factors: the error at each size, and which matrices share. */
export function createBases(root: HTMLElement, usePlan: () => void): { show(bases: SharedBases, theme: Theme): void } {
  const sentence = element('p');
  const holder = element('div', { class: 'bases-chart' });
  const key = element(
    'p',
    { class: 'faint' },
    element('span', { class: 'dot first' }),
    ' independent factors ',
    element('span', { class: 'dot second' }),
    ' shared ones, where that loses less',
  );
  const sizes = element('div', { class: 'table-root' });
  const groups = element('div', { class: 'table-root' });
  const groupsHead = element('h3');
  const plan = button({ label: 'Use in the rank plan', appearance: 'primary', onClick: usePlan });
  const places = [firstPlace(), firstPlace()] as const;
  fill(
    root,
    element('h2', { text: 'Shared factors' }),
    sentence,
    element('div', { class: 'bases-panes' }, element('figure', {}, holder, key), sizes),
    groupsHead,
    groups,
    element('div', { class: 'tools' }, plan.element),
  );
  let chart: PointChart | null = null;
  let drawn: readonly [SharedBases, Theme] | null = null;
  return {
    show(bases, theme) {
      if (drawn?.[0] === bases && drawn[1] === theme) return;
      drawn = [bases, theme];
      setText(sentence, inWords(bases));
      chart?.destroy();
      const canvas = element('canvas', { attributes: { 'aria-hidden': 'true' } });
      fill(holder, canvas);
      chart = createPointChart(canvas, plotOf(bases, theme));
      showTable<SizeComparison>(
        sizes,
        {
          caption: 'Error at each size',
          rows: bases.sizes,
          isSelected: ({ keep }) => keep === bases.keep,
          columns: [
            { head: 'Kept', numeric: true, text: ({ keep }) => formatPercent(keep) },
            { head: 'Independent', numeric: true, text: ({ independentError }) => formatPercent(independentError) },
            { head: 'Shared', numeric: true, text: ({ sharedError }) => formatPercent(sharedError) },
            { head: 'Groups', numeric: true, text: ({ groups: count }) => String(count) },
            { head: 'Matrices', numeric: true, text: ({ members }) => String(members) },
          ],
        },
        places[0],
      );
      const some = bases.groups.length > 0;
      groupsHead.hidden = !some;
      groups.hidden = !some;
      plan.set({ hidden: !some });
      setText(groupsHead, `Groups that share a factor at ${formatPercent(bases.keep)}`);
      if (some)
        showTable<SharedGroup>(
          groups,
          {
            caption: 'Groups that share a factor',
            rows: bases.groups,
            columns: [
              { head: 'Group', text: ({ name }) => name },
              { head: 'Rank', numeric: true, text: ({ rank }) => String(rank), order: ({ rank }) => rank },
              {
                head: 'Parameters',
                numeric: true,
                text: ({ parameters }) => formatCount(parameters),
                order: ({ parameters }) => parameters,
              },
              { head: 'Error', numeric: true, text: ({ error }) => formatPercent(error), order: ({ error }) => error },
              {
                head: 'Error apart',
                numeric: true,
                text: ({ independentError }) => formatPercent(independentError),
                order: ({ independentError }) => independentError,
              },
            ],
          },
          places[1],
        );
    },
  };
}

function inWords({ inputs, independent, shared, parametersAtEqualError, evaluation }: SharedBases): string {
  const saved = parametersAtEqualError === null ? 0 : independent.parameters - parametersAtEqualError;
  const sentences = [
    ...(inputs ? [`Errors are those of W X, over ${inputsText(inputs)}.`] : []),
    `With ${formatCount(independent.parameters)} parameters (${formatPercent(independent.keptShare)}), independent factors have an error of ${formatPercent(independent.error)}, shared ones of ${formatPercent(shared.error)}.`,
    parametersAtEqualError === null
      ? 'At this size, nothing is gained by sharing.'
      : `At the error of independent factors, sharing saves ${formatCount(saved)} parameters (${formatPercent(saved / independent.parameters)}).`,
  ];
  if (evaluation) {
    const [apart, together] = evaluation.variants;
    const of = (value: number | undefined) => (value === undefined ? NONE : formatValue(value));
    sentences.push(
      `Perplexity on ${evaluation.text.name}: ${of(evaluation.dense.perplexity)} dense, ${of(apart?.perplexity)} with independent and ${of(together?.perplexity)} with shared factors.`,
    );
  }
  return sentences.join(' ');
}

function plotOf({ inputs, sizes }: SharedBases, theme: Theme): Parameters<typeof createPointChart>[1] {
  const pointsOf = (name: string, errorOf: (size: SizeComparison) => number) =>
    sizes.map((size) => {
      const y = errorOf(size);
      return { id: `${name} ${size.keep}`, x: size.keep, y, low: y, high: y };
    });
  const tick = (value: number) => formatPercent(Number(value.toPrecision(3)));
  return {
    series: [
      { points: pointsOf('i', (size) => size.independentError), color: theme.line, shape: 'circle', joined: true },
      { points: pointsOf('s', (size) => size.sharedError), color: theme.secondLine, shape: 'rectRot', joined: true },
    ],
    x: { title: 'Parameters kept of what may be cut', log: false, tick },
    y: { title: inputs ? 'Predicted error of W X' : 'Predicted error', log: false, min: 0, tick },
    levels: [],
    theme,
    onPick: () => undefined,
  };
}
