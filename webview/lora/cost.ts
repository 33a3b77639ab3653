import { formatBytes, formatCount, formatWhole } from '../../src/base/quantities.ts';
import type { LoraCount, LoraCountRow } from '../../src/model/lora/count.ts';
import { TARGET_SETS, type TargetSet } from '../../src/model/lora/targets.ts';
import { createPointChart, type PointChart, type PointChartOptions } from '../charts/pointChart.ts';
import type { Theme } from '../charts/theme.ts';
import { element, fill, setText } from '../ui/dom.ts';
import { formatPercent, NONE } from '../ui/format.ts';
import { firstPlace, showTable } from '../ui/table.ts';
import { adaptedModules, beyondSentence, costSentence, SET_NAMES, tutorialSentence } from './words.ts';

/** The count that the page shows, at the ranks of its table and at the chosen one. */
interface Cost {
  readonly count: LoraCount;
  readonly targets: TargetSet;
  readonly rank: number;
}

/** What LoRA costs for each rank and set of modules, beside what tutorials count. */
export function createCost(
  root: HTMLElement,
  choose: (targets: TargetSet, rank: number) => void,
): { show(cost: Cost, theme: Theme): void } {
  const sentences = element('p', { class: 'answer', attributes: { 'aria-live': 'polite' } });
  const table = element('div', { class: 'table-root' });
  const holder = element('div', { class: 'chart' });
  const key = element(
    'ul',
    { class: 'key faint' },
    element('li', {}, element('span', { class: 'swatch' }), 'r (m + n) of all modules'),
    element('li', {}, element('span', { class: 'swatch second' }), '2 d r L of tutorials'),
  );
  const place = firstPlace();
  fill(
    root,
    sentences,
    element('h2', { text: 'What it costs' }),
    element('div', { class: 'panes wide' }, table, element('figure', {}, holder, key)),
  );
  let chart: PointChart | null = null;
  return {
    show({ count, targets, rank }, theme) {
      const chosen = count.rows.find((row) => row.targets === targets && row.rank === rank);
      setText(
        sentences,
        chosen
          ? [
              costSentence(count, chosen, targets),
              tutorialSentence(count.model, chosen, targets),
              beyondSentence(chosen),
            ]
              .filter(Boolean)
              .join(' ')
          : `This model has no modules of ${SET_NAMES[targets]}.`,
      );
      showTable<LoraCountRow>(
        table,
        {
          caption: 'Cost of each rank and set of modules',
          rows: count.rows.filter((row) => row.targets === targets || row.rank === rank),
          isSelected: (row) => row === chosen,
          onSelect: (row) => choose(setOf(row), row.rank),
          columns: [
            { head: 'Modules', text: (row) => `${SET_NAMES[setOf(row)]}, rank ${row.rank}` },
            { head: 'Parameters', numeric: true, text: (row) => formatWhole(row.parameters) },
            {
              head: '2 d r L',
              numeric: true,
              text: ({ tutorial }) => (tutorial === null ? NONE : formatWhole(tutorial)),
            },
            { head: 'Of the model', numeric: true, text: (row) => formatPercent(row.share) },
            { head: 'Optimizer', numeric: true, text: (row) => formatBytes(row.optimizerBytes) },
            { head: 'Training', numeric: true, text: (row) => formatBytes(row.trainingBytes) },
            { head: 'File', numeric: true, text: (row) => formatBytes(row.fileBytes) },
          ],
        },
        place,
      );
      chart?.destroy();
      chart = null;
      fill(holder);
      if (!chosen) return;
      const canvas = element('canvas', { attributes: { 'aria-hidden': 'true' } });
      fill(holder, canvas);
      const rows = count.rows.filter((row) => row.targets === targets);
      chart = createPointChart(canvas, plotOf({ count, targets, rank }, rows, theme, choose));
      chart.select(`true ${rank}`);
    },
  };
}

const setOf = (row: LoraCountRow): TargetSet => TARGET_SETS.find((set) => set === row.targets) ?? 'all-linear';

function plotOf(
  { count, targets }: Cost,
  rows: readonly LoraCountRow[],
  theme: Theme,
  choose: (targets: TargetSet, rank: number) => void,
): PointChartOptions {
  const pointsOf = (name: string, of: (row: LoraCountRow) => number | null) =>
    rows.flatMap((row) => {
      const y = of(row);
      return y === null ? [] : [{ id: `${name} ${row.rank}`, x: row.rank, y, low: y, high: y }];
    });
  const dense = adaptedModules(count.model, targets).reduce((sum, { shape: [m, n], count: times }) => {
    return sum + m * n * times;
  }, 0);
  return {
    series: [
      {
        points: pointsOf('tutorial', ({ tutorial }) => tutorial),
        color: theme.secondLine,
        shape: 'rectRot',
        joined: true,
      },
      { points: pointsOf('true', ({ parameters }) => parameters), color: theme.line, shape: 'circle', joined: true },
    ],
    x: { title: 'Rank', log: true, ticks: rows.map(({ rank }) => rank), tick: String },
    y: { title: 'Parameters', log: true, tick: formatCount },
    levels: [{ value: dense, label: 'the matrices:', color: theme.marks.breakEven }],
    theme,
    onPick: (id) => choose(targets, Number(id.split(' ')[1])),
  };
}
