import '../ui/base.css';
import './sharing.css';
import { baseName } from '../../src/base/paths.ts';
import type { SharingCalls, SharingSettings, SharingSnapshot } from '../../src/protocol/page.ts';
import { onThemeChange, readTheme } from '../charts/theme.ts';
import { button, numberField } from '../ui/controls.ts';
import { element, fill, perFrame, setText } from '../ui/dom.ts';
import { connectHost, keep, kept } from '../ui/link.ts';
import { createPageErrors } from '../ui/pageErrors.ts';
import { createRunProgress } from '../ui/runProgress.ts';
import { type AngleView, createAngles } from './angles.ts';
import { createBases } from './bases.ts';
import { createEqual } from './equal.ts';

/** Kept across reloads; the path is needed to restore the page in a restored window. */
interface SharingView extends AngleView {
  readonly path: string;
}

const link = connectHost<SharingCalls, Partial<SharingSnapshot>>();
let view = restored(kept());
let snapshot: SharingSnapshot | null = null;
let theme = readTheme();

const title = element('h1', { text: 'Sharing' });
const errors = createPageErrors(() => redraw());
const { tell } = errors;
const keptField = numberField('Parameters kept, in percent', 1, 99, (value) => change({ keep: (value ?? 80) / 100 }));
const layersField = numberField('Layers that may share', 1, 64, (value) => change({ layers: value ?? 1 }));
const statistics = element('span', { class: 'faint' });
const chooseStatistics = button({ label: 'Use activations…', onClick: () => tell(link.call('chooseActivations')) });
const dropStatistics = button({ label: 'Use W alone', onClick: () => tell(link.call('dropActivations')) });
const text = element('span', { class: 'faint' });
const chooseText = button({ label: 'Choose a text…', onClick: () => tell(link.call('chooseText')) });
const progress = createRunProgress(() => tell(link.call('cancel')));
const again = button({ label: 'Find', appearance: 'primary', onClick: () => tell(link.call('run')) });
const saveJson = button({ label: 'JSON', title: 'Save the result as JSON', onClick: save });
const notes = element('ul', { class: 'remarks' });
const roots = {
  equal: element('section', { attributes: { 'aria-label': 'Equal tensors' } }),
  angles: element('section', { attributes: { 'aria-label': 'What layers read' } }),
  bases: element('section', { attributes: { 'aria-label': 'Shared factors' } }),
};
const equal = createEqual(roots.equal, { reveal: (name) => tell(link.call('reveal', { name })) });
const angles = createAngles(roots.angles, (part) => {
  view = { ...view, ...part };
  keep(view);
  redraw();
});
const bases = createBases(roots.bases, () => tell(link.call('plan')));
const result = element('div', { class: 'result' }, notes, roots.bases, roots.angles, roots.equal);
const settings = element(
  'section',
  { class: 'tools', attributes: { 'aria-label': 'Settings' } },
  element('label', {}, 'Keep ', keptField.element, ' %'),
  element('label', {}, 'Share over ', layersField.element, ' layers'),
  chooseStatistics.element,
  dropStatistics.element,
  statistics,
  chooseText.element,
  text,
  again.element,
  element('span', { class: 'spring' }),
  saveJson.element,
);
const run = element(
  'section',
  { class: 'run', attributes: { 'aria-label': 'Run' } },
  progress.stop,
  progress.bar,
  progress.text,
);
document
  .getElementById('app')!
  .replaceChildren(element('main', { class: 'sharing' }, title, settings, errors.element, run, result));

const redraw = perFrame(draw);
link.onUpdate((update) => {
  if (snapshot) take({ ...snapshot, ...update });
});
onThemeChange(() => {
  theme = readTheme();
  redraw();
});
tell(link.call('ready').then(take));

function take(next: SharingSnapshot): void {
  errors.follow(next.run.status);
  snapshot = next;
  if (view.path !== next.path) {
    view = { ...view, path: next.path };
    keep(view);
  }
  redraw();
}

function draw(): void {
  if (!snapshot) return;
  errors.show(snapshot.error);
  const { path, report, settings: own } = snapshot;
  setText(title, `What layers of ${baseName(path)} share`);
  keptField.set(Number((100 * own.keep).toPrecision(6)));
  layersField.set(own.layers);
  dropStatistics.set({ hidden: own.activations === null });
  setText(
    statistics,
    own.activations === null ? 'Errors of W alone' : `Errors of W X, with ${baseName(own.activations)}`,
  );
  setText(text, own.text === null ? 'No text: nothing is measured' : `Measured on ${baseName(own.text)}`);
  drawRun(snapshot.run);
  saveJson.set({ hidden: report === null });
  result.hidden = report === null;
  if (!report) return;
  fill(notes, ...report.notes.map((note) => element('li', { class: 'notice', text: note })));
  notes.hidden = report.notes.length === 0;
  equal.show(report);
  angles.show(report.angles, view, theme);
  bases.show(report.bases, theme);
}

function drawRun(state: SharingSnapshot['run']): void {
  run.hidden = !progress.show(state);
  again.set({ disabled: state.status === 'running' });
}

function change(part: Partial<SharingSettings>): void {
  if (snapshot) tell(link.call('change', { ...snapshot.settings, ...part }));
}

function save(): void {
  const report = snapshot?.report;
  if (!report) return;
  const content = `${JSON.stringify(report, null, 2)}\n`;
  tell(
    link.call('save', { suggestedName: `${baseName(report.checkpoint.path)}.sharing.json`, content, encoding: 'utf8' }),
  );
}

/** Validates a restored state, which an older version of the page may have written. */
function restored(old: unknown): SharingView {
  const { path, module, first, second } = (typeof old === 'object' && old !== null ? old : {}) as Record<
    string,
    unknown
  >;
  return {
    path: typeof path === 'string' ? path : '',
    module: typeof module === 'string' ? module : null,
    first: typeof first === 'number' ? first : null,
    second: typeof second === 'number' ? second : null,
  };
}
