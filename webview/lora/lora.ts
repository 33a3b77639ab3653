import '../ui/base.css';
import './lora.css';
import { baseName } from '../../src/base/paths.ts';
import { formatCount } from '../../src/base/quantities.ts';
import { countLora, type LoraModel, USUAL_RANKS } from '../../src/model/lora/count.ts';
import { TARGET_SETS, type TargetSet } from '../../src/model/lora/targets.ts';
import { USUAL_MODELS, usualModel } from '../../src/model/lora/usualModels.ts';
import type { LoraCalls, LoraSnapshot } from '../../src/protocol/page.ts';
import { onThemeChange, readTheme } from '../charts/theme.ts';
import { button, numberField, select } from '../ui/controls.ts';
import { element, perFrame, setText } from '../ui/dom.ts';
import { connectHost, keep, kept } from '../ui/link.ts';
import { createPageErrors } from '../ui/pageErrors.ts';
import { createRunProgress } from '../ui/runProgress.ts';
import { createBreakEven } from './breakEven.ts';
import { createCost } from './cost.ts';
import { createSuggestion } from './suggestion.ts';
import { type LoraView, MOST_RANK, restoredView } from './viewState.ts';
import { SET_NAMES } from './words.ts';

/** Stands for the checkpoint in the list of models: no model has an empty name. */
const CHECKPOINT = '';

const link = connectHost<LoraCalls, Partial<LoraSnapshot>>();
let view = restoredView(kept());
let snapshot: LoraSnapshot | null = null;
let theme = readTheme();

const title = element('h1', { text: 'LoRA' });
const subtitle = element('p', { class: 'faint' });
const errors = createPageErrors(() => redraw());
const { tell } = errors;
const model = select('Model', [], (id) => change({ model: id === CHECKPOINT ? null : id }));
const targets = select(
  'Target modules',
  TARGET_SETS.map((set) => ({ id: set, label: SET_NAMES[set] })),
  (id) => change({ targets: id as TargetSet }),
);
const rank = numberField('Rank', 1, MOST_RANK, (value) => change({ rank: value ?? 16 }));
const settings = element(
  'section',
  { class: 'tools', attributes: { 'aria-label': 'Settings' } },
  element('label', {}, 'Model ', model.element),
  element('label', {}, 'Target modules ', targets.element),
  element('label', {}, 'Rank ', rank.element),
);
const costRoot = element('section', { attributes: { 'aria-label': 'Cost' } });
const breakEvenRoot = element('section', { attributes: { 'aria-label': 'Break-even' } });
const cost = createCost(costRoot, (set, chosen) => change({ targets: set, rank: chosen }));
const breakEven = createBreakEven(breakEvenRoot);

const why = element('p', { class: 'faint' });
const statistics = element('span', { class: 'faint' });
const choose = button({ label: 'Use activations…', onClick: () => tell(link.call('chooseActivations')) });
const drop = button({ label: 'Use W alone', onClick: () => tell(link.call('dropActivations')) });
const suggest = button({
  label: 'Suggest ranks',
  appearance: 'primary',
  onClick: () => tell(link.call('suggest', { targets: view.targets, rank: view.rank })),
});
const progress = createRunProgress(() => tell(link.call('cancel')));
const run = element('div', { class: 'run' }, progress.stop, progress.bar, progress.text);
const outcome = element('div', { class: 'outcome' });
const suggestion = createSuggestion(outcome, {
  copy: (text) => tell(link.call('copy', { text })),
  open: (text, language) => tell(link.call('open', { text, language })),
  save: (suggestedName, content) => tell(link.call('save', { suggestedName, content, encoding: 'utf8' })),
  choose: (file) => change({ file }),
});
const suggestionRoot = element(
  'section',
  { attributes: { 'aria-label': 'A rank for each module' } },
  element('h2', { text: 'A rank for each module' }),
  why,
  element('div', { class: 'tools' }, suggest.element, choose.element, drop.element, statistics),
  run,
  outcome,
);
document
  .getElementById('app')!
  .replaceChildren(
    element(
      'main',
      { class: 'lora' },
      title,
      subtitle,
      settings,
      errors.element,
      costRoot,
      breakEvenRoot,
      suggestionRoot,
    ),
  );

const redraw = perFrame(draw);
link.onUpdate((update) => {
  if (snapshot) take({ ...snapshot, ...update });
});
onThemeChange(() => {
  theme = readTheme();
  counted = null;
  redraw();
});
/** What the charts show: they are rebuilt only when it changes. */
let counted: string | null = null;
let offered: string | null = null;
tell(link.call('ready').then(take));

function take(next: LoraSnapshot): void {
  errors.follow(next.run.status);
  snapshot = next;
  if (view.path !== next.path) change({ path: next.path });
  redraw();
}

function draw(): void {
  if (!snapshot) return;
  const { path, model: own } = snapshot;
  errors.show(snapshot.error);
  offer(path);
  const shown = view.model === null && path !== '' ? own : usualModel(view.model ?? USUAL_MODELS[0]!);
  const name = shown === own && own ? baseName(path) : (shown?.name ?? baseName(path));
  setText(title, `LoRA for ${name}`);
  model.set(view.model ?? (path === '' ? USUAL_MODELS[0]! : CHECKPOINT));
  targets.set(view.targets);
  rank.set(view.rank);
  for (const part of [costRoot, breakEvenRoot]) part.hidden = !shown;
  if (shown) drawCount(shown, name);
  drawSuggestion(path !== '' && shown === own && own !== null);
}

/** The models to choose from, listed anew only when the checkpoint is another. */
function offer(path: string): void {
  if (offered === path) return;
  offered = path;
  model.setOptions([
    ...(path === '' ? [] : [{ id: CHECKPOINT, label: baseName(path), group: 'This checkpoint' }]),
    ...USUAL_MODELS.map((name) => ({ id: name, label: name, group: 'Usual models' })),
  ]);
}

function drawCount(shown: LoraModel, name: string): void {
  const { parameters, hidden } = shown;
  setText(subtitle, `${formatCount(parameters)} parameters${hidden === null ? '' : `, d = ${hidden}`}`);
  const key = JSON.stringify([name, view.targets, view.rank]);
  if (counted === key) return;
  counted = key;
  const ranks = [...new Set([...USUAL_RANKS, view.rank])].sort((a, b) => a - b);
  const count = countLora(shown, ranks);
  cost.show({ count, targets: view.targets, rank: view.rank }, theme);
  breakEven.show(count, view.rank, theme);
}

function drawSuggestion(possible: boolean): void {
  const { activations, run: state, suggestion: found } = snapshot!;
  const running = state.status === 'running';
  setText(
    why,
    possible
      ? `Ranks in proportion to how many directions a module uses, with as many parameters as rank ${view.rank} everywhere.`
      : 'This needs the weights: right-click a checkpoint in the Explorer and choose "Suggest LoRA Ranks".',
  );
  suggest.set({ hidden: !possible, disabled: running });
  choose.set({ hidden: !possible });
  drop.set({ hidden: !possible || activations === null });
  statistics.hidden = !possible;
  setText(statistics, activations === null ? 'Follows W alone' : `Follows W X, with ${baseName(activations)}`);
  run.hidden = !progress.show(state) || !possible;
  outcome.hidden = !possible || found === null;
  if (found && possible) suggestion.show(found, view.file);
}

function change(part: Partial<LoraView>): void {
  view = { ...view, ...part };
  keep(view);
  redraw();
}
