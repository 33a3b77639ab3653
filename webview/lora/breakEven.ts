import { breakEvenRank, factorParameters } from '../../src/base/shape.ts';
import type { LoraCount, LoraShape } from '../../src/model/lora/count.ts';
import { createPointChart, type PointChart, type PointChartOptions } from '../charts/pointChart.ts';
import type { Theme } from '../charts/theme.ts';
import { element, fill, setText } from '../ui/dom.ts';
import { formatPercent, formatShape } from '../ui/format.ts';
import { firstPlace, showTable } from '../ui/table.ts';

/** Curves in the chart, at most: more could not be told apart. */
const MOST_CURVES = 6;
/** How far behind the last break-even rank the axis reaches. */
const BEYOND = 1.15;

/** Where two factors of rank r become as large as the matrix: r (m + n) = m n. */
export function createBreakEven(root: HTMLElement): { show(count: LoraCount, rank: number, theme: Theme): void } {
  const sentence = element('p');
  const holder = element('div', { class: 'chart' });
  const key = element('ul', { class: 'key faint' });
  const table = element('div', { class: 'table-root' });
  const place = firstPlace();
  fill(
    root,
    element('h2', { text: 'Where it stops paying' }),
    sentence,
    element('div', { class: 'panes' }, element('figure', {}, holder, key), table),
  );
  let chart: PointChart | null = null;
  return {
    show({ shapes, model }, rank, theme) {
      setText(sentence, inWords(model.hidden, shapes));
      showTable<LoraShape>(
        table,
        {
          caption: 'Break-even rank of each shape',
          rows: shapes,
          columns: [
            { head: 'Modules', text: ({ modules }) => shortList(modules) },
            { head: 'Shape', text: ({ shape }) => formatShape(shape) },
            { head: 'Count', numeric: true, text: ({ count }) => String(count), order: ({ count }) => count },
            {
              head: 'Break-even rank',
              numeric: true,
              text: ({ breakEven }) => String(breakEven),
              order: ({ breakEven }) => breakEven,
            },
            {
              head: `Rank ${rank} has`,
              numeric: true,
              text: ({ shape: [m, n] }) => formatPercent(sizeOf(m, n, rank)),
              order: ({ shape: [m, n] }) => sizeOf(m, n, rank),
            },
          ],
        },
        place,
      );
      chart?.destroy();
      const canvas = element('canvas', { attributes: { 'aria-hidden': 'true' } });
      fill(holder, canvas);
      const curves = curvesOf(shapes);
      chart = createPointChart(canvas, plotOf(curves, rank, theme));
      fill(
        key,
        ...curves.map(({ m, n, modules }, index) =>
          element(
            'li',
            {},
            element('span', { class: `swatch curve${index}` }),
            `${formatShape([m, n])} (${shortList(modules)})`,
          ),
        ),
      );
    },
  };
}

/** A straight line in pieces, so that labels can keep off it. */
const STEPS = Array.from({ length: 26 }, (_, step) => step / 25);

/** An m x n and an n x m matrix have one curve. */
interface Curve {
  readonly m: number;
  readonly n: number;
  readonly modules: string[];
  /** Parameters of all matrices of the shape. */
  parameters: number;
}

/** The curves of the shapes with most parameters, from the flattest to the steepest. */
function curvesOf(shapes: readonly LoraShape[]): Curve[] {
  const curves = new Map<string, Curve>();
  for (const { shape, modules, count } of shapes) {
    const [m, n] = [Math.max(...shape), Math.min(...shape)];
    const curve = curves.get(`${m} ${n}`) ?? { m, n, modules: [], parameters: 0 };
    curve.parameters += count * m * n;
    curve.modules.push(...modules.filter((name) => !curve.modules.includes(name)));
    curves.set(`${m} ${n}`, curve);
  }
  const most = [...curves.values()].sort((a, b) => b.parameters - a.parameters).slice(0, MOST_CURVES);
  return most.sort((a, b) => breakEven(b) - breakEven(a));
}

/** m n / (m + n), not rounded: where the curve reaches the matrix. */
const breakEven = ({ m, n }: Curve) => (m * n) / (m + n);
const sizeOf = (m: number, n: number, rank: number) => factorParameters(m, n, rank) / (m * n);

function plotOf(curves: readonly Curve[], rank: number, theme: Theme): PointChartOptions {
  const { line, secondLine, marks } = theme;
  const colors = [line, secondLine, marks.energy, marks.numerical, marks.noise, marks.breakEven];
  const most = BEYOND * curves.reduce((largest, curve) => Math.max(largest, breakEven(curve)), 1);
  const percent = (curve: Curve, x: number) => 100 * sizeOf(curve.m, curve.n, x);
  const ends = curves.map((curve) => Math.min(most, (BEYOND + 0.05) * breakEven(curve)));
  return {
    series: curves.flatMap((curve, index) => {
      const point = (x: number) => {
        const y = percent(curve, x);
        return { id: `${index} ${x}`, x, y, low: y, high: y };
      };
      const color = colors[index]!;
      return [
        { points: STEPS.map((step) => point(step * ends[index]!)), color, shape: 'none', joined: true } as const,
        { points: [point(breakEven(curve))], color, shape: 'circle', joined: false } as const,
      ];
    }),
    x: { title: 'Rank', log: false, min: 0, max: most, tick: (value) => String(Math.round(value)) },
    y: { title: 'Size of the factors, in percent of the matrix', log: false, min: 0, max: 125, tick: String },
    levels: [{ value: 100, label: 'the matrix itself:', color: theme.foreground }],
    marks: rank <= most ? [{ name: 'rank', rank, color: theme.foreground, dash: [4, 3] }] : [],
    theme,
    onPick: () => undefined,
  };
}

function inWords(d: number | null, shapes: readonly LoraShape[]): string {
  const square = shapes.find(({ shape: [m, n] }) => m === n);
  const example =
    square === undefined
      ? ''
      : `: for a ${square.shape[0] === d ? 'd × d matrix' : 'square matrix'} (${formatShape(square.shape)}) at half its width, ${breakEvenRank(...square.shape)}`;
  return `Two factors have r (m + n) parameters in place of m n. They are as large as the matrix at r = m n / (m + n)${example}.`;
}

function shortList(names: readonly string[]): string {
  return names.length > 4 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ');
}
