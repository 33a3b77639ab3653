import '../ui/base.css';
import './training.css';
import { baseName } from '../../src/base/paths.ts';
import { formatWhole } from '../../src/base/quantities.ts';
import { meanCurves } from '../../src/model/training/curves.ts';
import type { TrainingCurves, TrainingReport, TrainingStep } from '../../src/model/training/training.ts';
import type { TrainingCalls, TrainingSnapshot } from '../../src/protocol/page.ts';
import { createPointChart, type PointChart } from '../charts/pointChart.ts';
import { onThemeChange, readTheme } from '../charts/theme.ts';
import { scaleColor } from '../ui/colorScale.ts';
import { button, select } from '../ui/controls.ts';
import { element, fill, perFrame, setText } from '../ui/dom.ts';
import { formatTick, formatValue, NONE } from '../ui/format.ts';
import { connectHost, keep, kept } from '../ui/link.ts';
import { createPageErrors } from '../ui/pageErrors.ts';
import { createRunProgress } from '../ui/runProgress.ts';
import { firstPlace, showTable } from '../ui/table.ts';
import { layersOf, modulesOf, type Series, type SeriesView, seriesOf } from './series.ts';

/** Kept across reloads; the path is needed to restore the page in a restored window. */
interface TrainingView extends SeriesView {
  readonly path: string;
}

const CHARTS: readonly (readonly [keyof TrainingCurves, string])[] = [
  ['effectiveRank', 'Effective rank'],
  ['stableRank', 'Stable rank'],
  ['norm', 'Norm'],
  ['alpha', 'Alpha'],
  ['turnOut', 'Turn of the outputs, degrees'],
  ['turnIn', 'Turn of the inputs, degrees'],
];
const DEGREES = /^(turn|step)/;
const ALL = '';

const link = connectHost<TrainingCalls, Partial<TrainingSnapshot>>();
let view = restored(kept());
let snapshot: TrainingSnapshot | null = null;
let theme = readTheme();
let drawn: unknown[] = [];
let charts: PointChart[] = [];

const title = element('h1', { text: 'Training' });
const errors = createPageErrors(() => redraw());
const { tell } = errors;
const progress = createRunProgress(() => tell(link.call('cancel')));
const again = button({ label: 'Read again', appearance: 'primary', onClick: () => tell(link.call('run')) });
const saveJson = button({ label: 'JSON', title: 'Save the curves as JSON', onClick: save });
const module = select('Module', [], (id) => change({ module: id === ALL ? null : id, layer: null }));
const layer = select('Layer', [], (id) => change({ layer: id === ALL ? null : id }));
const notes = element('ul', { class: 'remarks' });
const about = element('p', { class: 'faint' });
const legend = element('div', { class: 'series', attributes: { role: 'group', 'aria-label': 'Curves' } });
const grid = element('div', { class: 'charts' });
const table = element('div', { class: 'table-root' });
const place = firstPlace();
const result = element(
  'div',
  { class: 'result' },
  notes,
  about,
  legend,
  grid,
  element('h2', { text: 'Means of the shown curves' }),
  table,
);
const run = element(
  'section',
  { class: 'run', attributes: { 'aria-label': 'Run' } },
  progress.stop,
  progress.bar,
  progress.text,
);
const tools = element(
  'section',
  { class: 'tools', attributes: { 'aria-label': 'Curves to show' } },
  module.element,
  layer.element,
  again.element,
  element('span', { class: 'spring' }),
  saveJson.element,
);
document
  .getElementById('app')!
  .replaceChildren(element('main', { class: 'training' }, title, tools, errors.element, run, result));

const redraw = perFrame(draw);
link.onUpdate((update) => {
  if (snapshot) take({ ...snapshot, ...update });
});
onThemeChange(() => {
  theme = readTheme();
  redraw();
});
tell(link.call('ready').then(take));

function take(next: TrainingSnapshot): void {
  errors.follow(next.run.status);
  snapshot = next;
  if (view.path !== next.path) change({ path: next.path });
  redraw();
}

function draw(): void {
  if (!snapshot) return;
  errors.show(snapshot.error);
  const { path, report } = snapshot;
  setText(title, `Training in ${baseName(path)}`);
  drawRun(snapshot.run);
  for (const part of [saveJson, again]) part.set({ hidden: report === null && snapshot.run.status === 'running' });
  for (const part of [result, module.element, layer.element]) part.hidden = report === null;
  if (!report || (drawn[0] === report && drawn[1] === view && drawn[2] === theme)) return;
  drawn = [report, view, theme];
  const left = report.skipped.map(({ name, reason }) => `Left out: ${name}: ${reason}`);
  fill(notes, ...[...report.remarks, ...left].map((text) => element('li', { class: 'notice', text })));
  notes.hidden = notes.children.length === 0;
  const modules = modulesOf(report);
  const chosen = view.module !== null && modules.includes(view.module) ? view.module : null;
  module.setOptions([{ id: ALL, label: 'All modules' }, ...modules.map((id) => ({ id, label: id }))]);
  module.set(chosen ?? ALL);
  const layers = chosen === null ? [] : layersOf(report, chosen);
  layer.element.hidden = chosen === null;
  layer.setOptions([{ id: ALL, label: 'All layers' }, ...layers.map((id) => ({ id, label: `Layer ${id}` }))]);
  layer.set(view.layer !== null && layers.includes(view.layer) ? view.layer : ALL);
  const series = seriesOf(report, { module: chosen, layer: view.layer });
  const { steps, unit } = report;
  setText(
    about,
    `${formatWhole(steps.length)} checkpoints, ${unit} ${steps[0]!.step} to ${steps.at(-1)!.step}. A turn is that of the leading subspaces since the first of them.`,
  );
  showLegend(series);
  showCharts(report, series);
  showMeans(report, series);
}

const colorOf = (index: number, count: number) => scaleColor(count > 1 ? 0.22 + (0.7 * index) / (count - 1) : 0.45);

function showLegend(series: readonly Series[]): void {
  fill(
    legend,
    ...series.map(({ label, opens }, index) => {
      const dot = element('span', { class: 'swatch' });
      dot.style.backgroundColor = colorOf(index, series.length);
      if (!opens) return element('span', { class: 'series-item' }, dot, label);
      const made = element('button', { class: 'series-item', attributes: { type: 'button' } }, dot, label);
      made.addEventListener('click', () => change(opens));
      return made;
    }),
  );
}

function showCharts({ steps, unit }: TrainingReport, series: readonly Series[]): void {
  for (const chart of charts) chart.destroy();
  charts = [];
  const figures = CHARTS.map(([key, label]) => {
    const points = series.map(({ curves }, index) =>
      steps.flatMap(({ step }, at) => {
        const y = curves[key][at] ?? null;
        return y === null ? [] : [{ id: `${index} ${at}`, x: step, y, low: y, high: y }];
      }),
    );
    const known = points.some((own) => own.length > 0);
    const canvas = element('canvas', { attributes: { 'aria-hidden': 'true' } });
    const holder = element(
      'div',
      { class: 'chart', attributes: { role: 'img', 'aria-label': `${label} over ${unit}s` } },
      canvas,
    );
    const figure = element(
      'figure',
      {},
      element('h3', { text: label }),
      known ? holder : element('p', { class: 'faint', text: 'Not known: fewer than 50 singular values, or adapters.' }),
    );
    // Rounding alone must not fill the axis of a subspace that stays.
    const still = points.every((own) => own.every(({ y }) => y < 1));
    const range = DEGREES.test(key) ? { min: 0, ...(still ? { max: 1 } : {}) } : {};
    return { figure, canvas, points, known, range };
  });
  fill(grid, ...figures.map(({ figure }) => figure));
  for (const { canvas, points, known, range } of figures) {
    if (!known) continue;
    charts.push(
      createPointChart(canvas, {
        series: points.map((own, index) => ({
          points: own,
          color: colorOf(index, points.length),
          shape: 'circle' as const,
          joined: true,
        })),
        x: { title: unit === 'step' ? 'Step' : 'Epoch', log: false, tick: formatTick },
        y: { title: '', log: false, tick: formatTick, ...range },
        levels: [],
        theme,
        onPick(id) {
          const { opens } = series[Number(id.split(' ')[0])] ?? {};
          if (opens) change(opens);
        },
      }),
    );
  }
}

function showMeans({ steps, unit }: TrainingReport, series: readonly Series[]): void {
  const means = meanCurves(series.map(({ curves }) => curves));
  const rows = steps.map((step, at) => ({ step, at }));
  type Row = { readonly step: TrainingStep; readonly at: number };
  const column = (head: string, key: keyof TrainingCurves) => ({
    head,
    numeric: true,
    text: ({ at }: Row) => {
      const value = means[key][at] ?? null;
      if (value === null) return NONE;
      return DEGREES.test(key) ? value.toFixed(1) : formatValue(Number(value.toPrecision(4)));
    },
    order: ({ at }: Row) => means[key][at] ?? null,
  });
  showTable<Row>(
    table,
    {
      caption: 'Means of the shown curves at each checkpoint',
      rows,
      columns: [
        { head: 'Checkpoint', text: ({ step }) => step.name },
        {
          head: unit === 'step' ? 'Step' : 'Epoch',
          numeric: true,
          text: ({ step }) => formatWhole(step.step),
          order: ({ step }) => step.step,
        },
        ...CHARTS.map(([key, label]) => column(label, key)),
        column('Turn of the outputs since the one before', 'stepOut'),
        column('Turn of the inputs since the one before', 'stepIn'),
      ],
    },
    place,
  );
}

function drawRun(state: TrainingSnapshot['run']): void {
  run.hidden = !progress.show(state);
  again.set({ disabled: state.status === 'running' });
}

function change(part: Partial<TrainingView>): void {
  view = { ...view, ...part };
  keep(view);
  redraw();
}

function save(): void {
  const report = snapshot?.report;
  if (!report) return;
  const content = `${JSON.stringify(report, null, 2)}\n`;
  tell(link.call('save', { suggestedName: `${baseName(report.folder)}.training.json`, content, encoding: 'utf8' }));
}

/** Validates a restored state, which an older version of the page may have written. */
function restored(old: unknown): TrainingView {
  const state = (typeof old === 'object' && old !== null ? old : {}) as Record<string, unknown>;
  const text = (value: unknown) => (typeof value === 'string' ? value : null);
  return { path: text(state.path) ?? '', module: text(state.module), layer: text(state.layer) };
}
