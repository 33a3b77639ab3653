import '../ui/base.css';
import './inspector.css';
import './trial/trial.css';
import { type ErrorData, errorData } from '../../src/base/errors.ts';
import type { InspectorCalls, InspectorUpdate } from '../../src/protocol/page.ts';
import { neighbour } from '../charts/layout.ts';
import { pictureOf } from '../charts/picture.ts';
import { onThemeChange, readTheme } from '../charts/theme.ts';
import { element, perFrame, throttled } from '../ui/dom.ts';
import { connectHost, keep, kept } from '../ui/link.ts';
import { createSmokeTest } from '../ui/smokeTest.ts';
import { createDetail } from './detail.ts';
import { analysisOf, exportName, findingsCsv, spectrumCsv } from './exportText.ts';
import { createHeader } from './header.ts';
import { createMapPane } from './mapPane.ts';
import { createRunBar } from './runBar.ts';
import { createSpectra } from './spectra.ts';
import { type Model, modelOf, restoreView, updated, type ViewState, withSlider } from './state.ts';
import { createStatisticsNote } from './statisticsNote.ts';
import { createToolbar } from './toolbar.ts';
import { createTrials } from './trial/trials.ts';

/** Visible matrices at most that are requested first: what fits into a glance, not a whole file. */
const WANTED = 300;

const link = connectHost<InspectorCalls, InspectorUpdate>();
let view: ViewState = restoreView(kept());
let model: Model | null = null;
/** A matrix was selected, and its detail is not completely in view yet. */
let isDetailWanted = false;
/** Why the last call of this page failed; cleared when the state changes or another call succeeds. */
let failure: ErrorData | null = null;

const roots = {
  header: element('header', { class: 'header' }),
  statistics: element('section', { class: 'statistics-note', attributes: { 'aria-label': 'Activations' } }),
  smokeTest: element('section', { class: 'smoke-test', attributes: { 'aria-label': 'Smoke test' } }),
  run: element('section', { class: 'run-bar', attributes: { 'aria-label': 'Analysis' } }),
  tools: element('div'),
  map: element('div', { class: 'map-pane' }),
  detail: element('aside', { class: 'detail', attributes: { 'aria-label': 'Selected matrix' } }),
};
const panes = element(
  'main',
  { class: 'panes' },
  element('section', { class: 'overview', attributes: { 'aria-label': 'All matrices' } }, roots.tools, roots.map),
  roots.detail,
);
document.getElementById('app')!.replaceChildren(roots.header, roots.statistics, roots.smokeTest, roots.run, panes);

const keepSoon = throttled(300, keep);
const redraw = perFrame(draw);
const header = createHeader(roots.header, {
  retry: () => (model ? tell(link.call('run')) : announce()),
  openChoice: (path) => tell(link.call('openChoice', { path })),
});
const runBar = createRunBar(roots.run, {
  run: () => tell(link.call('run')),
  cancel: () => tell(link.call('cancel')),
  measure: () => tell(link.call('measure')),
  activations: () => tell(link.call('activations')),
});
const statistics = createStatisticsNote(roots.statistics);
const smokeTest = createSmokeTest(roots.smokeTest);
roots.statistics.hidden = roots.smokeTest.hidden = true;
const toolbar = createToolbar(roots.tools, {
  changeView,
  zoomBy: (factor) => map.zoomBy(factor),
  showAll: () => map.showAll(),
  exportAs: exportMap,
});
const map = createMapPane(roots.map, {
  select: (name) => {
    select(name);
    isDetailWanted = true;
  },
  zoomed: (zoom) => {
    view = { ...view, zoom };
    keepSoon(view);
    showToolbar();
    wantSoon();
  },
});
const detail = createDetail(roots.detail, {
  changeView,
  select,
  step: (by) => {
    const next = model && neighbour(model.layout, view.selected, by);
    if (next) select(next);
  },
  slid: (name, rank) => {
    view = withSlider(view, name, rank);
    keepSoon(view);
  },
  setRank: (name, rank) => tell(link.call('setRank', { name, rank })),
  clearRank: (name) => tell(link.call('clearRank', { name })),
  retry: (name) => {
    spectra.forget(name);
    redraw();
  },
  exportAs: exportSpectrum,
  trial: {
    start: (name, choice) => trials.start(name, choice),
    cancel: () => tell(link.call('cancelTrial')),
    pictures: (request) => link.call('trialPictures', request),
  },
});
const trials = createTrials(
  (name, choice) => link.call('trial', { name, choice }),
  (name) => {
    if (name === view.selected) redraw();
  },
);
const spectra = createSpectra(
  (name) => link.call('spectrum', { name }),
  (name) => {
    if (name === view.selected) redraw();
  },
);
const wantSoon = throttled<void>(400, () => {
  if (model?.run.status !== 'running') return;
  const names = map.wanted(WANTED);
  const selected = view.selected && model.findings.get(view.selected)?.provenance !== 'exact' ? [view.selected] : [];
  if (names.length + selected.length === 0) return;
  // Not a user's action, so its success does not clear a failure.
  link.call('visible', { names: [...selected, ...names] }).catch(fault);
});

onThemeChange(() => {
  map.themeChanged();
  detail.themeChanged();
  draw();
});
link.onUpdate((update) => {
  if (!model) return;
  const { model: next, changed } = updated(model, update);
  if (next.layout !== model.layout || next.statistics?.path !== model.statistics?.path) {
    spectra.forget();
    trials.forget();
  }
  if (update.trialStep !== undefined) trials.told(update.trialStep);
  if (changed.has('checkpoint') || changed.has('ranks') || 'error' in update || next.run.status !== model.run.status)
    failure = null;
  model = next;
  if (changed.has('selected') && model.selected) {
    changeView({ selected: model.selected });
    isDetailWanted = true;
  }
  redraw();
});
announce();

function announce(): void {
  tell(
    link.call('ready').then((snapshot) => {
      model = modelOf(snapshot);
      // The matrix requested in the editor takes precedence over the one that the page showed last.
      if (snapshot.selected) {
        view = { ...view, selected: snapshot.selected };
        isDetailWanted = true;
      }
      draw();
    }),
  );
}

function draw(): void {
  const error = failure ?? model?.error ?? null;
  const isRunning = model?.run.status === 'running';
  // Without a checkpoint there is nothing to show but the error.
  const isStuck = !model?.checkpoint && error !== null;
  header.show(model?.checkpoint ?? null, error, isStuck && !isRunning);
  roots.run.hidden = isStuck && !isRunning;
  panes.hidden = isStuck;
  if (!model || isStuck) {
    if (model) runBar.show(model.run, model.engine);
    return;
  }
  runBar.show(model.run, model.engine);
  statistics.show(model.statistics, model.findings);
  smokeTest.show(model.smokeTest);
  showToolbar();
  const values = map.show(model, view);
  const matrix = model.layout.matrices[model.layout.indexOf.get(view.selected ?? '') ?? -1];
  const isWaiting = matrix && !model.skipped.has(matrix.name) && model.checkpoint;
  const spectrum = isWaiting ? spectra.get(model.checkpoint!, matrix) : null;
  detail.show(model, view, values, { spectrum, trial: trials.of(view.selected ?? '') });
  if (isDetailWanted) showDetail();
  // Until the spectrum is loaded, the detail below the map is too short to scroll to.
  if (spectrum?.kind !== 'loading') isDetailWanted = false;
  wantSoon();
}

/** Scrolls to the detail if it is below the map; beside the map it is always in view. */
function showDetail(): void {
  const [map, own] = [roots.map, roots.detail].map((root) => root.getBoundingClientRect());
  if (!map || !own || own.top < map.bottom) return;
  const isStill = matchMedia('(prefers-reduced-motion: reduce)').matches;
  roots.detail.scrollIntoView({ behavior: isStill ? 'auto' : 'smooth', block: 'start' });
}

function showToolbar(): void {
  const has = { findings: (model?.findings.size ?? 0) > 0, activations: model?.statistics != null };
  toolbar.show(view, has, [...(model?.layout.expertGrids.keys() ?? [])]);
}

function changeView(change: Partial<ViewState>): void {
  view = { ...view, ...change };
  keep(view);
  redraw();
}

function select(name: string): void {
  changeView({ selected: name });
  // Like `visible`, not worth clearing a failure for.
  link.call('select', { name }).catch(fault);
}

function exportMap(kind: 'png' | 'csv' | 'json'): void {
  const path = model?.checkpoint?.path ?? '';
  if (kind === 'png') {
    const content = map.picture();
    if (content) save(exportName(path, `${view.measure}.png`), content, 'base64');
    return;
  }
  const analysis = model && analysisOf(model);
  if (!analysis) return;
  const content = kind === 'csv' ? findingsCsv(analysis.matrices) : `${JSON.stringify(analysis, null, 2)}\n`;
  save(exportName(path, `ranks.${kind}`), content, 'utf8');
}

function exportSpectrum(kind: 'png' | 'csv', name: string, canvases: readonly HTMLCanvasElement[]): void {
  const file = exportName(`${name}.tensor`, `spectrum.${kind}`);
  if (kind === 'png') {
    save(file, pictureOf({ title: name, canvases }, readTheme()), 'base64');
    return;
  }
  const matrix = model?.layout.matrices[model.layout.indexOf.get(name) ?? -1];
  const spectrum = matrix && model?.checkpoint ? spectra.get(model.checkpoint, matrix) : null;
  if (spectrum?.kind === 'ready') save(file, spectrumCsv(spectrum.singularValues), 'utf8');
}

function save(suggestedName: string, content: string, encoding: 'base64' | 'utf8'): void {
  tell(link.call('save', { suggestedName, content, encoding }));
}

/** Awaits a call and shows its failure at the top of the page. */
function tell(call: Promise<unknown>): void {
  call.then(() => {
    if (!failure) return;
    failure = null;
    redraw();
  }, fault);
}

function fault(error: unknown): void {
  failure = errorData(error);
  redraw();
}
