import '../ui/base.css';
import './compression.css';
import { baseName } from '../../src/base/paths.ts';
import { formatBytes } from '../../src/base/quantities.ts';
import type { CompressionCalls, CompressionSnapshot } from '../../src/protocol/page.ts';
import { button } from '../ui/controls.ts';
import { element, fill, perFrame, setText } from '../ui/dom.ts';
import { formatDuration } from '../ui/format.ts';
import { connectHost, keep } from '../ui/link.ts';
import { createPageErrors } from '../ui/pageErrors.ts';
import { createSmokeTest } from '../ui/smokeTest.ts';
import { firstPlace } from '../ui/table.ts';
import { showBeforeAfter } from './beforeAfter.ts';
import { showBlocks } from './blockTable.ts';
import { createLossCurves } from './lossCurves.ts';
import { createRunBar } from './runBar.ts';

const link = connectHost<CompressionCalls, Partial<CompressionSnapshot>>();
let snapshot: CompressionSnapshot | null = null;
/** What the parts below show, so that they are rebuilt only when it changes. */
let shown: Pick<CompressionSnapshot, 'report' | 'blocks'> = { report: null, blocks: [] };
const place = firstPlace();

const model = element('p', { class: 'faint name' });
const errors = createPageErrors(() => redraw());
const { tell } = errors;
const bar = createRunBar({ cancel: () => tell(link.call('cancel')), again: () => tell(link.call('again')) });
const begin = button({
  label: 'Compress…',
  appearance: 'primary',
  title: 'Compress the model with a text to a size',
  onClick: () => tell(link.call('compress')),
});
const open = button({ label: 'Open the result', onClick: () => tell(link.call('open')) });
const json = button({ label: 'Save the report as JSON', onClick: save });
const estimate = element('p', { class: 'faint' });
const notes = element('ul', { class: 'remarks', attributes: { 'aria-label': 'Notes' } });
const outcome = element('section', { class: 'outcome', attributes: { 'aria-label': 'Before and after' } });
const trial = element('section', { attributes: { 'aria-label': 'Continuations side by side' } });
const smokeTest = createSmokeTest(trial);
const curves = createLossCurves();
const blocks = element('section', { attributes: { 'aria-label': 'Blocks' } });
const table = element('div', { class: 'table-root' });
blocks.append(
  element('h2', { text: 'Blocks' }),
  element('p', {
    class: 'faint',
    text: 'W X is what the matrices make of their inputs: its relative error as the plan predicted it, and as truncated on the inputs of the compressed model, which hold the errors of all before.',
  }),
  table,
);
const empty = element('p', {
  class: 'empty',
  text: 'Nothing has been compressed yet. “Compress…” asks for a size, a text and a target, and says what it will take.',
});

document
  .getElementById('app')!
  .replaceChildren(
    element(
      'main',
      { class: 'compression' },
      element('h1', { text: 'Compress with the smallest loss' }),
      model,
      errors.element,
      bar.element,
      element('div', { class: 'tools' }, begin.element, open.element, json.element),
      estimate,
      empty,
      outcome,
      notes,
      trial,
      curves.element,
      blocks,
    ),
  );

const redraw = perFrame(draw);
link.onUpdate((update) => {
  if (snapshot) take({ ...snapshot, ...update });
});
tell(link.call('ready').then(take));

function take(next: CompressionSnapshot): void {
  errors.follow(next.run.status);
  snapshot = next;
  keep({ path: next.path });
  redraw();
}

function draw(): void {
  if (!snapshot) return;
  const { path, run, report, current } = snapshot;
  errors.show(snapshot.error);
  setText(model, snapshot.out === '' ? baseName(path) : `${baseName(path)} → ${baseName(snapshot.out)}`);
  model.title = path;
  bar.show(snapshot);
  const running = run.status === 'running';
  begin.set({ disabled: running });
  open.set({ hidden: report === null });
  json.set({ hidden: report === null });
  setText(estimate, running ? estimateText(snapshot) : '');
  estimate.hidden = !running || snapshot.estimate === null;
  empty.hidden = running || report !== null || snapshot.blocks.length > 0;
  curves.show({ blocks: snapshot.blocks, current });
  blocks.hidden = snapshot.blocks.length === 0;
  if (snapshot.blocks !== shown.blocks) showBlocks(table, snapshot.blocks, place);
  outcome.hidden = report === null;
  smokeTest.show(report?.smokeTest ?? null);
  if (report && report !== shown.report) showBeforeAfter(outcome, report);
  const said = report?.notes ?? snapshot.estimate?.notes ?? [];
  fill(notes, ...said.map((line) => element('li', { class: 'notice', text: line })));
  notes.hidden = said.length === 0;
  shown = { report, blocks: snapshot.blocks };
}

function estimateText({ estimate: known }: CompressionSnapshot): string {
  if (!known) return '';
  const { secondsTotal, memoryBytes, schedule } = known;
  const refined = schedule.steps > 0 ? `, ${schedule.steps} steps of refinement for each block` : ', no refinement';
  return `Estimated before it began: ${formatDuration(secondsTotal)}, ${formatBytes(memoryBytes)} of memory${refined}.`;
}

function save(): void {
  const { report } = snapshot ?? {};
  if (!report) return;
  const suggestedName = `${baseName(report.out).replace(/\.[a-z0-9]+$/i, '')}.compression.json`;
  tell(link.call('save', { suggestedName, content: `${JSON.stringify(report, null, 2)}\n`, encoding: 'utf8' }));
}
