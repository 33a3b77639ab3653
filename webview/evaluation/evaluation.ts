import '../ui/base.css';
import './evaluation.css';
import { baseName } from '../../src/base/paths.ts';
import type { EvaluationCalls, EvaluationSnapshot } from '../../src/protocol/page.ts';
import { pictureOf } from '../charts/picture.ts';
import { createPointView } from '../charts/pointView.ts';
import { onThemeChange, readTheme } from '../charts/theme.ts';
import { button, checkbox, select } from '../ui/controls.ts';
import { element, fill, perFrame, setText } from '../ui/dom.ts';
import { connectHost, keep, kept } from '../ui/link.ts';
import { createPageErrors } from '../ui/pageErrors.ts';
import { firstPlace } from '../ui/table.ts';
import { evaluationCsv } from './csv.ts';
import { createMarkerLegend } from './legend.ts';
import { isWide, keptPlot, predictedPlot, rankPlot } from './plots.ts';
import { createEvaluationRun } from './run.ts';
import { showTextFacts } from './textFacts.ts';
import { type TextRuns, textsOf, textTitle } from './texts.ts';
import { showVariants } from './variantTable.ts';
import { type EvaluationView, restoreEvaluationView } from './viewState.ts';
import { measuredLines } from './words.ts';

const link = connectHost<EvaluationCalls, Partial<EvaluationSnapshot>>();
let view: EvaluationView = restoreEvaluationView(kept());
let snapshot: EvaluationSnapshot | null = null;
let texts: readonly TextRuns[] = [];
/** What the charts show, so that they are rebuilt only when it changes. */
let drawn: readonly unknown[] = [];
const place = firstPlace();

const model = element('p', { class: 'faint name' });
const errors = createPageErrors(() => redraw());
const { tell } = errors;
const run = createEvaluationRun({
  cancel: () => tell(link.call('cancel')),
  again: () => tell(link.call('again')),
});
const measure = button({
  label: 'Measure…',
  appearance: 'primary',
  title: 'Measure ranks or plans on a text',
  onClick: () => tell(link.call('measure')),
});
const python = button({
  label: 'With Python…',
  title: 'Write a script for transformers that measures the same, for other architectures and big GPUs',
  onClick: () => tell(link.call('python')),
});
const open = button({
  label: 'Open…',
  title: 'Add an evaluation from a JSON file',
  onClick: () => tell(link.call('open')),
});
const text = select('Text', [], (key) => changeView({ text: key, selected: null }));
const log = checkbox('Log perplexity', false, (checked) => changeView({ log: checked }));
const others = element('p', { class: 'faint' });
const facts = element('section', { attributes: { 'aria-label': 'Text and dense model' } });
const notes = element('ul', { class: 'remarks', attributes: { 'aria-label': 'Notes' } });
const legend = createMarkerLegend();
const hooks = { select: (id: string) => changeView({ selected: id }), describe };
const charts = [
  createPointView('Perplexity by parameters kept', hooks),
  createPointView('Perplexity by rank', hooks),
  createPointView('Measured loss beside the predicted error', hooks),
] as const;
const table = element('div', { class: 'table-root' });
const exports = [
  button({ label: 'PNG', title: 'Save the charts as PNG', onClick: savePicture }),
  button({ label: 'CSV', title: 'Save these numbers as CSV', onClick: () => save('csv') }),
  button({ label: 'JSON', title: 'Save the evaluations of this text as JSON', onClick: () => save('json') }),
];
const empty = element('p', {
  class: 'empty',
  text: 'Nothing has been measured yet. “Measure…” asks for a text and for the ranks or the plan to try.',
});
const result = element(
  'div',
  { class: 'measured' },
  others,
  facts,
  notes,
  element(
    'div',
    { class: 'tools' },
    log.element,
    legend.element,
    element('span', { class: 'spring' }),
    element(
      'span',
      { class: 'group', attributes: { role: 'group', 'aria-label': 'Export' } },
      element('span', { class: 'faint', text: 'Export' }),
      ...exports.map((control) => control.element),
    ),
  ),
  element(
    'section',
    { class: 'charts', attributes: { 'aria-label': 'Charts' } },
    ...charts.map((chart) => chart.element),
  ),
  element('section', { attributes: { 'aria-label': 'Measured variants' } }, table),
);
const tools = element('div', { class: 'tools' }, measure.element, python.element, open.element, text.element);
const heading = element('h1', { text: 'How much worse does the model get?' });
document
  .getElementById('app')!
  .replaceChildren(
    element('main', { class: 'evaluation' }, heading, model, errors.element, run.element, tools, empty, result),
  );

const redraw = perFrame(draw);
onThemeChange(() => {
  drawn = [];
  redraw();
});
link.onUpdate((update) => {
  if (snapshot) take({ ...snapshot, ...update });
});
tell(link.call('ready').then(take));

function take(next: EvaluationSnapshot): void {
  errors.follow(next.run.status);
  if (next.evaluations !== snapshot?.evaluations) {
    texts = textsOf(next.evaluations);
    // What was just measured is what the person wants to see.
    const isNew = snapshot !== null && next.evaluations.length > snapshot.evaluations.length;
    if (isNew) view = { ...view, text: null };
  }
  snapshot = next;
  if (view.path !== next.path) view = { ...view, path: next.path };
  keep(view);
  redraw();
}

/** The chosen text, or that of the last run. */
function shownText(): TextRuns | undefined {
  const last = snapshot?.evaluations.at(-1);
  return texts.find(({ key }) => key === view.text) ?? texts.find(({ runs }) => last && runs.includes(last));
}

function draw(): void {
  errors.show(snapshot?.error ?? null);
  const shown = shownText();
  result.hidden = !shown;
  if (!snapshot) return;
  setText(model, baseName(snapshot.path));
  model.title = snapshot.path;
  run.show(snapshot.run, snapshot.asked);
  measure.set({ disabled: snapshot.run.status === 'running' });
  empty.hidden = shown !== undefined || snapshot.run.status === 'running';
  text.element.hidden = texts.length < 2;
  if (!shown) return;
  text.setOptions(texts.map(({ key, runs }) => ({ id: key, label: textTitle(runs[0]!) })));
  text.set(shown.key);
  const apart = texts.length - 1;
  setText(
    others,
    apart === 0
      ? ''
      : `Runs on ${apart === 1 ? 'another text' : `${apart} other texts`} are kept apart: losses on different tokens cannot be compared. Choose the text above.`,
  );
  others.hidden = apart === 0;
  showTextFacts(facts, shown);
  const said = [...new Set(shown.runs.flatMap((evaluation) => evaluation.notes))];
  fill(notes, ...said.map((line) => element('li', { class: 'notice', text: line })));
  notes.hidden = said.length === 0;
  drawCharts(shown);
  showVariants(table, shown, place, { selected: view.selected, select: hooks.select });
}

function drawCharts(shown: TextRuns): void {
  const theme = readTheme();
  const isLog = view.log ?? isWide(shown);
  log.set(isLog);
  legend.show(shown, theme);
  const key = [shown, isLog];
  if (drawn.length === 0 || key.some((part, index) => part !== drawn[index])) {
    drawn = key;
    charts[0].show(keptPlot(shown, isLog, theme), 'Only the dense model was measured.');
    charts[1].show(rankPlot(shown, isLog, theme), 'No variant with the same rank everywhere was measured.');
    charts[2].show(
      predictedPlot(shown, theme),
      'No variant with a predicted error was measured: a file does not say it.',
    );
  }
  for (const chart of charts) chart.select(view.selected);
}

function describe(id: string): readonly string[] {
  const measured = shownText()?.measured.find((one) => one.id === id);
  return measured ? measuredLines(measured) : [];
}

function changeView(change: Partial<EvaluationView>): void {
  view = { ...view, ...change };
  keep(view);
  redraw();
}

function save(kind: 'csv' | 'json'): void {
  const shown = shownText();
  if (!shown) return;
  // One run is the object that `rankscope evaluate --json` prints, which this page opens again; several are a list.
  const { runs } = shown;
  const content =
    kind === 'csv' ? evaluationCsv(shown) : `${JSON.stringify(runs.length === 1 ? runs[0] : runs, null, 2)}\n`;
  tell(link.call('save', { suggestedName: suggested(`evaluation.${kind}`), content, encoding: 'utf8' }));
}

function savePicture(): void {
  const canvases = charts.map((chart) => chart.canvas()).filter((canvas) => canvas !== null);
  const shown = shownText();
  if (canvases.length === 0 || !shown) return;
  const title = `${baseName(snapshot?.path ?? '')} on ${shown.runs[0]!.text.name}`;
  const content = pictureOf({ title, canvases }, readTheme());
  tell(link.call('save', { suggestedName: suggested('evaluation.png'), content, encoding: 'base64' }));
}

function suggested(ending: string): string {
  const name = baseName(snapshot?.path ?? '').replace(/\.[a-z0-9]+$/i, '');
  return `${name.replace(/[^\w.-]+/g, '_') || 'model'}.${ending}`;
}
