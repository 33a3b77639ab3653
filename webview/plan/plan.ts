import '../ui/base.css';
import './plan.css';
import { errorData } from '../../src/base/errors.ts';
import type { PlanRequest } from '../../src/model/plan/plan.ts';
import { isMeasured } from '../../src/model/plan/planRequest.ts';
import type { PlanCalls, PlanOverview, PlanSnapshot } from '../../src/protocol/page.ts';
import { button, progressRing, select } from '../ui/controls.ts';
import { element, fill, perFrame, setText } from '../ui/dom.ts';
import { errorNotice } from '../ui/errorNotice.ts';
import { connectHost } from '../ui/link.ts';
import { createPlanForm } from './form.ts';
import { createPlanMatrices } from './matrices.ts';
import { withOverride } from './planState.ts';
import { createSensitivity } from './sensitivity.ts';
import { showTotals } from './totals.ts';

const link = connectHost<PlanCalls, Partial<PlanSnapshot>>();
let snapshot: PlanSnapshot | null = null;
/** The last computed plan, which stays in view, dimmed, until the next one is there. */
let lastPlan: PlanOverview | null = null;

const checkpoint = select('Checkpoint', [], (path) => tell(link.call('selectCheckpoint', { path })));
const undo = button({ label: 'Undo', onClick: () => tell(link.call('undo')) });
const redo = button({ label: 'Redo', onClick: () => tell(link.call('redo')) });
const apply = button({ label: 'Apply…', appearance: 'primary', onClick: () => tell(link.call('apply')) });
const measure = button({
  label: 'Measure…',
  title: 'Measure how much worse the model gets with this plan',
  onClick: () => tell(link.call('measure')),
});
const savePlan = button({ label: 'Save plan…', onClick: () => tell(link.call('savePlan')) });
const openPlan = button({ label: 'Open plan…', onClick: () => tell(link.call('openPlan')) });
const cancel = button({ label: 'Cancel', onClick: () => tell(link.call('cancel')) });
const busyText = element('span', { attributes: { role: 'status' } });
const roots = {
  empty: element('p', {
    class: 'empty',
    text: 'To plan ranks, right-click a checkpoint in the Explorer and choose “Analyze Weight Ranks”.',
  }),
  form: element('section', { class: 'form', attributes: { 'aria-label': 'Budget' } }),
  notice: element('div'),
  busy: element('div', { class: 'busy' }, progressRing('Planning'), busyText, cancel.element),
  totals: element('section', { class: 'totals', attributes: { 'aria-label': 'Totals' } }),
  caution: element('p', {
    class: 'notice',
  }),
  notes: element('ul', { class: 'notice notes', attributes: { 'aria-label': 'Notes' } }),
  untrusted: element('p', {
    class: 'notice',
    text: 'This workspace is not trusted: you can view plans, but Rankscope does not write files.',
  }),
  sensitivity: element('section', { class: 'sensitivity', attributes: { 'aria-label': 'Error against size' } }),
  matrices: element('section', { attributes: { 'aria-label': 'Matrices of the plan' } }),
};
const form = createPlanForm(roots.form, change, {
  chooseText: () => tell(link.call('chooseText')),
  limitMinutes: (minutes) => tell(link.call('limitMinutes', { minutes })),
  start: () => tell(link.call('start')),
});
const matrices = createPlanMatrices(roots.matrices, {
  ask: (filter, count, take) => tell(link.call('matrices', { filter, count }).then(take)),
  override: (name, rank) => change((request) => withOverride(request, name, rank)),
  reveal: (name) => tell(link.call('reveal', { name })),
});
const sensitivity = createSensitivity(roots.sensitivity, {
  ask: (take) => tell(link.call('curves').then(take)),
  plan: (budget) => change((request) => ({ ...request, budget })),
});
const content = element(
  'main',
  { class: 'plan' },
  element('h1', { class: 'visually-hidden', text: 'Rank plan' }),
  checkpoint.element,
  roots.form,
  element('div', { class: 'buttons' }, apply.element, measure.element, savePlan.element, openPlan.element),
  element('div', { class: 'buttons' }, undo.element, redo.element),
  roots.untrusted,
  roots.notice,
  roots.busy,
  roots.totals,
  roots.notes,
  roots.caution,
  roots.sensitivity,
  roots.matrices,
);
document.getElementById('app')!.replaceChildren(roots.empty, content);
roots.empty.hidden = content.hidden = true;

const redraw = perFrame(draw);
link.onUpdate((update) => {
  if (snapshot) take({ ...snapshot, ...staleWithout(update), ...update });
});
tell(link.call('ready').then(take));

/** Drops the plan of another checkpoint; a new request outdates the current plan. */
function staleWithout(update: Partial<PlanSnapshot>): Partial<PlanSnapshot> {
  if ('current' in update && update.current !== snapshot?.current) lastPlan = null;
  return update.request && !('plan' in update) ? { plan: null } : {};
}

function take(next: PlanSnapshot): void {
  snapshot = next;
  if (next.plan) lastPlan = next.plan;
  redraw();
}

function draw(): void {
  if (!snapshot) return;
  const { checkpoints, current, request, plan, error, busy, measure: measured, canUndo, canRedo, canWrite } = snapshot;
  roots.empty.hidden = checkpoints.length > 0;
  content.hidden = checkpoints.length === 0;
  checkpoint.setOptions(checkpoints.map(({ path, name }) => ({ id: path, label: name })));
  checkpoint.set(current ?? '');
  checkpoint.element.title = current ?? '';
  form.show(request, lastPlan, measured);
  cancel.set({ hidden: !isMeasured(request) });
  undo.set({ disabled: !canUndo });
  redo.set({ disabled: !canRedo });
  apply.set({ disabled: !canWrite || !plan });
  measure.set({ disabled: !plan });
  savePlan.set({ disabled: !canWrite || !plan });
  roots.untrusted.hidden = canWrite;
  fill(roots.notice, error ? errorNotice(error) : null);
  roots.busy.hidden = busy === null;
  setText(busyText, busy ?? '');
  const shown = plan ?? lastPlan;
  for (const part of [roots.totals, roots.notes, roots.caution, roots.sensitivity, roots.matrices])
    part.hidden = shown === null;
  content.classList.toggle('stale', plan === null);
  if (!shown) return;
  setText(roots.caution, shown.sensitivities ? INPUTS_CAUTION : WEIGHTS_CAUTION);
  showTotals(roots.totals, shown);
  const notes = [...(shown.unmet === undefined ? [] : [unmetText(shown.unmet)]), ...(shown.notes ?? [])];
  fill(roots.notes, ...notes.map((text) => element('li', { text })));
  roots.notes.hidden = notes.length === 0;
  // Of a plan that is being made again, the curves would be asked for too early.
  if (plan) sensitivity.show(plan, request);
  matrices.show(shown, request);
}

const WEIGHTS_CAUTION =
  'This error is that of the weights alone and can be misleading: even a small error may change the output of the model. ' +
  '“Measure…” shows how much worse the model gets on a text.';
const INPUTS_CAUTION =
  'These ranks are for matrices that are truncated on the text: choose it in “Apply…”. “Measure…” shows how much worse ' +
  'the model gets where the weights alone are truncated.';

function unmetText(unmet: string): string {
  return `The budget cannot be met: ${unmet}.`;
}

/** Applies `edit` to the request and sends it. The new request is used at once, so that the next edit builds on it. */
function change(edit: (request: PlanRequest) => PlanRequest): void {
  if (!snapshot) return;
  const request = edit(snapshot.request);
  snapshot = { ...snapshot, request };
  redraw();
  tell(link.call('change', request));
}

function tell(call: Promise<unknown>): void {
  call.catch((error: unknown) => {
    const data = errorData(error);
    if (snapshot) take({ ...snapshot, error: data });
    else {
      content.hidden = false;
      fill(content, errorNotice(data));
    }
  });
}
