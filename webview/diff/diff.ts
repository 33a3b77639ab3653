import '../ui/base.css';
import './diff.css';
import { baseName } from '../../src/base/paths.ts';
import { formatCount, formatWhole } from '../../src/base/quantities.ts';
import type { ModelDiff } from '../../src/model/diff/diff.ts';
import type { DiffCalls, DiffSnapshot } from '../../src/protocol/page.ts';
import { onThemeChange, readTheme } from '../charts/theme.ts';
import { button, select } from '../ui/controls.ts';
import { element, fill, perFrame, setText } from '../ui/dom.ts';
import { formatPercent } from '../ui/format.ts';
import { connectHost, keep, kept } from '../ui/link.ts';
import { createPageErrors } from '../ui/pageErrors.ts';
import { createRunProgress } from '../ui/runProgress.ts';
import { diffCsv } from './csv.ts';
import { createHeads } from './heads.ts';
import { createLists } from './lists.ts';
import { createDiffMap } from './map.ts';
import { type DiffLayout, layoutOf } from './matrices.ts';
import { createMatrixPane } from './matrix.ts';
import { DIFF_MEASURES, diffMeasure } from './measures.ts';
import { createDiffSpectra } from './spectra.ts';
import { type DiffView, restoreDiffView } from './viewState.ts';

const link = connectHost<DiffCalls, Partial<DiffSnapshot>>();
let view = restoreDiffView(kept());
let snapshot: DiffSnapshot | null = null;
let theme = readTheme();
let arranged: readonly [ModelDiff, DiffLayout] | null = null;

const title = element('h1', { text: 'Models' });
const errors = createPageErrors(() => redraw());
const { tell } = errors;
const progress = createRunProgress(() => tell(link.call('cancel')));
const again = button({ label: 'Compare again', appearance: 'primary', onClick: () => tell(link.call('run')) });
const swap = button({
  label: 'Swap',
  title: 'Take the other model for the base',
  onClick: () => tell(link.call('swap')),
});
const extract = button({ label: 'Extract this as a LoRA…', onClick: () => tell(link.call('extract')) });
const saveCsv = button({ label: 'CSV', title: 'Save the numbers of all matrices as CSV', onClick: () => save('csv') });
const saveJson = button({ label: 'JSON', title: 'Save the comparison as JSON', onClick: () => save('json') });
const answer = element('p');
const notes = element('ul', { class: 'remarks' });
const measure = select('Measure', DIFF_MEASURES, (id) => changeView({ measure: id }));
const explanation = element('p', { class: 'faint explanation' });
const roots = {
  map: element('div', { class: 'diff-map' }),
  matrix: element('aside', { class: 'matrix', attributes: { 'aria-label': 'Selected matrix' } }),
  heads: element('section', { attributes: { 'aria-label': 'Attention heads' } }),
  lists: element('section', { attributes: { 'aria-label': 'Tensors' } }),
};
const map = createDiffMap(roots.map, (id) => changeView({ selected: id }));
const pane = createMatrixPane(roots.matrix, {
  reveal(which, { name, otherName }) {
    if (!snapshot) return;
    const path = snapshot[which];
    tell(link.call('reveal', { path, name: which === 'other' ? (otherName ?? name) : name }));
  },
});
const heads = createHeads(roots.heads, {
  change: changeView,
  restore: (wanted) => tell(link.call('restore', { heads: wanted })),
});
const lists = createLists(roots.lists, (list) => changeView({ list }));
const run = element(
  'section',
  { class: 'run', attributes: { 'aria-label': 'Run' } },
  progress.stop,
  again.element,
  progress.bar,
  progress.text,
);
const tools = element(
  'section',
  { class: 'tools', attributes: { 'aria-label': 'Actions' } },
  swap.element,
  extract.element,
  element('span', { class: 'spring' }),
  saveCsv.element,
  saveJson.element,
);
const matrices = element(
  'section',
  { attributes: { 'aria-label': 'Matrices' } },
  element('div', { class: 'tools' }, measure.element),
  explanation,
  roots.map,
);
const result = element(
  'div',
  { class: 'result' },
  answer,
  notes,
  element('div', { class: 'panes' }, matrices, roots.matrix),
  roots.heads,
  roots.lists,
);
document
  .getElementById('app')!
  .replaceChildren(element('main', { class: 'diff' }, title, tools, errors.element, run, result));

const redraw = perFrame(draw);
const spectra = createDiffSpectra((name) => link.call('spectra', { name }), redraw);
link.onUpdate((update) => {
  if (snapshot) take({ ...snapshot, ...update });
});
onThemeChange(() => {
  theme = readTheme();
  redraw();
});
tell(link.call('ready').then(take));

function take(next: DiffSnapshot): void {
  errors.follow(next.run.status);
  snapshot = next;
  if (view.base !== next.base || view.other !== next.other) {
    view = { ...view, base: next.base, other: next.other };
    keep(view);
  }
  redraw();
}

function draw(): void {
  if (!snapshot) return;
  errors.show(snapshot.error);
  const { base, other, diff } = snapshot;
  setText(title, `${baseName(base)} → ${baseName(other)}`);
  title.title = `${base}\n${other}`;
  drawRun(snapshot.run);
  for (const each of [extract, saveCsv, saveJson]) each.set({ hidden: diff === null });
  result.hidden = diff === null;
  if (!diff) return;
  if (arranged?.[0] !== diff) {
    arranged = [diff, layoutOf(diff)];
    spectra.forget();
    setText(answer, inWords(diff));
    fill(notes, ...diff.remarks.map((note) => element('li', { class: 'notice', text: note })));
    notes.hidden = diff.remarks.length === 0;
    extract.set({ hidden: diff.totals.changed === 0 });
  }
  const shown = diffMeasure(view.measure);
  const [, layout] = arranged;
  measure.set(shown.id);
  setText(explanation, shown.explanation);
  const selected = layout.byId.get(view.selected ?? '') ?? null;
  map.show(layout, shown, selected ? view.selected : null, theme);
  pane.show(selected, selected && spectra.get(selected), theme);
  heads.show(diff, view, theme);
  lists.show(diff, view.list);
}

function inWords({ totals, base, other }: ModelDiff): string {
  const { changed, identical, equal, change } = totals;
  const sizes =
    base.parameters === other.parameters
      ? formatCount(base.parameters)
      : `${formatCount(base.parameters)} and ${formatCount(other.parameters)}`;
  const parts = [
    `${formatWhole(changed)} tensor${changed === 1 ? '' : 's'} changed, ${formatWhole(identical)} ${identical === 1 ? 'is' : 'are'} bit-identical${equal > 0 ? `, ${formatWhole(equal)} equal in another type` : ''}.`,
    change === null
      ? ''
      : `The whole difference is ${formatPercent(Number(change.toPrecision(3)))} of the norm of the base.`,
    `${sizes} parameters${base.family === null ? '' : `, ${base.family}`}, ${formatWhole(base.layers)} layers.`,
  ];
  return parts.filter(Boolean).join(' ');
}

function drawRun(state: DiffSnapshot['run']): void {
  const running = state.status === 'running';
  progress.show(state);
  run.hidden = state.status === 'done';
  again.set({ hidden: running });
  swap.set({ disabled: running });
}

function changeView(change: Partial<DiffView>): void {
  view = { ...view, ...change };
  keep(view);
  redraw();
}

function save(kind: 'csv' | 'json'): void {
  const diff = snapshot?.diff;
  if (!diff) return;
  const content = kind === 'csv' ? diffCsv(diff) : `${JSON.stringify(diff, null, 2)}\n`;
  tell(link.call('save', { suggestedName: `${baseName(diff.other.path)}.diff.${kind}`, content, encoding: 'utf8' }));
}
