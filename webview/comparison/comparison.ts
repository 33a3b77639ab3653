import '../ui/base.css';
import './comparison.css';
import { formatWhole } from '../../src/base/quantities.ts';
import type { ComparisonCalls, ComparisonSnapshot } from '../../src/protocol/page.ts';
import { button, select } from '../ui/controls.ts';
import { element, fill, perFrame, setText } from '../ui/dom.ts';
import { connectHost, keep, kept } from '../ui/link.ts';
import { createPageErrors } from '../ui/pageErrors.ts';
import { createRunProgress } from '../ui/runProgress.ts';
import { firstPlace } from '../ui/table.ts';
import { comparisonCsv } from './csv.ts';
import { createComparisonLayer } from './layer.ts';
import { showComparisonTable } from './layerTable.ts';
import { COMPARISON_MEASURES, comparisonMeasure } from './measures.ts';
import { createComparisonSummary } from './summary.ts';
import { type ComparisonView, restoreComparisonView } from './viewState.ts';

const link = connectHost<ComparisonCalls, Partial<ComparisonSnapshot>>();
let view: ComparisonView = restoreComparisonView(kept());
let snapshot: ComparisonSnapshot | null = null;
let drawn: ComparisonSnapshot['comparison'] = null;
const place = firstPlace();

const title = element('h1', { text: 'Adapters' });
const errors = createPageErrors(() => redraw());
const { tell } = errors;
const progress = createRunProgress(() => tell(link.call('cancel')), { label: 'Comparison progress', steps: 'layers' });
const again = button({ label: 'Compare again', appearance: 'primary', onClick: () => tell(link.call('run')) });
const remarks = element('ul', { class: 'remarks', attributes: { tabindex: '0', 'aria-label': 'Notes' } });
const measure = select(
  'Measure for each layer',
  COMPARISON_MEASURES.map(({ id, label }) => ({ id, label })),
  (id) => changeView({ measure: id }),
);
const explanation = element('p', { class: 'faint' });
const saveCsv = button({ label: 'CSV', title: 'Save all numbers as CSV', onClick: () => save('csv') });
const saveJson = button({ label: 'JSON', title: 'Save the comparison as JSON', onClick: () => save('json') });
const table = element('div', { class: 'table-root' });
const roots = {
  summary: element('section', { class: 'summary', attributes: { 'aria-label': 'Adapters' } }),
  layers: element(
    'section',
    { class: 'layers', attributes: { 'aria-label': 'Layers' } },
    element(
      'div',
      { class: 'tools' },
      measure.element,
      element('span', { class: 'spring' }),
      saveCsv.element,
      saveJson.element,
    ),
    explanation,
    table,
  ),
  layer: element('aside', { class: 'layer', attributes: { 'aria-label': 'Selected layer' } }),
};
const summary = createComparisonSummary(roots.summary);
const layer = createComparisonLayer(roots.layer, {
  reveal: (path, name) => tell(link.call('reveal', { path, name })),
});
const result = element(
  'div',
  { class: 'result' },
  remarks,
  roots.summary,
  element('div', { class: 'panes' }, roots.layers, roots.layer),
);
const run = element(
  'section',
  { class: 'run', attributes: { 'aria-label': 'Comparison' } },
  progress.stop,
  again.element,
  progress.bar,
  progress.text,
);
document
  .getElementById('app')!
  .replaceChildren(element('main', { class: 'comparison' }, title, errors.element, run, result));

const redraw = perFrame(draw);
link.onUpdate((update) => {
  if (snapshot) take({ ...snapshot, ...update });
});
tell(link.call('ready').then(take));

function take(next: ComparisonSnapshot): void {
  errors.follow(next.run.status);
  snapshot = next;
  if (String(view.paths) !== String(next.paths)) {
    view = { ...view, paths: next.paths };
    keep(view);
  }
  redraw();
}

function draw(): void {
  errors.show(snapshot?.error ?? null);
  run.hidden = snapshot === null || snapshot.run.status === 'done';
  result.hidden = !snapshot?.comparison;
  if (!snapshot) return;
  const { comparison } = snapshot;
  drawRun(snapshot.run);
  if (!comparison) return;
  setText(title, `${comparison.adapters.length} adapters, ${formatWhole(comparison.layers.length)} layers`);
  if (drawn !== comparison) {
    drawn = comparison;
    summary.show(comparison);
    const left = comparison.skipped.map(
      ({ adapter, name, reason }) => `Skipped in ${comparison.adapters[adapter]?.label}: ${name}: ${reason}`,
    );
    fill(remarks, ...[...comparison.remarks, ...left].map((text) => element('li', { class: 'notice', text })));
    remarks.hidden = remarks.children.length === 0;
  }
  const shown = comparisonMeasure(view.measure);
  measure.set(shown.id);
  setText(explanation, shown.explanation);
  showComparisonTable(table, comparison, shown, place, {
    selected: view.layer,
    select: (name) => changeView({ layer: name }),
  });
  layer.show(comparison, comparison.layers.find(({ name }) => name === view.layer) ?? null);
}

function drawRun(state: ComparisonSnapshot['run']): void {
  progress.show(state);
  again.set({ hidden: state.status === 'running' });
}

function changeView(change: Partial<ComparisonView>): void {
  // Another measure has other columns to sort by.
  if (change.measure !== undefined && change.measure !== view.measure) place.sort = null;
  view = { ...view, ...change };
  keep(view);
  redraw();
}

function save(kind: 'csv' | 'json'): void {
  const comparison = snapshot?.comparison;
  if (!comparison) return;
  const content = kind === 'csv' ? comparisonCsv(comparison) : `${JSON.stringify(comparison, null, 2)}\n`;
  tell(link.call('save', { suggestedName: `adapters.comparison.${kind}`, content, encoding: 'utf8' }));
}
