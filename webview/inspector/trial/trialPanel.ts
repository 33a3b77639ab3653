import { formatCount } from '../../../src/base/quantities.ts';
import {
  TRIAL_LIMITS,
  TRIAL_METHODS,
  type Trial,
  type TrialChoice,
  type TrialMatrix,
  type TrialPictureRequest,
  type TrialPictures,
} from '../../../src/model/trial.ts';
import { button, checkbox, numberField, progressRing, textField } from '../../ui/controls.ts';
import { element, fill, setText } from '../../ui/dom.ts';
import { errorNotice } from '../../ui/errorNotice.ts';
import { formatPercent } from '../../ui/format.ts';
import { createPicturePanel } from './picturePanel.ts';
import { createResidualCurve } from './residualCurve.ts';
import { METHOD_NAMES, ranksAround, readRanks, type TrialFields } from './trialChoice.ts';
import type { TrialState } from './trials.ts';
import { showErrors, showProducts, type Tried, triedOf } from './trialTables.ts';

export interface TrialHooks {
  readonly start: (name: string, choice: TrialChoice) => void;
  readonly cancel: () => void;
  readonly pictures: (request: Omit<TrialPictureRequest, 'path'>) => Promise<TrialPictures>;
  readonly setRank: (name: string, rank: number) => void;
  readonly changeFields: (fields: TrialFields) => void;
}

interface TrialSubject {
  readonly name: string;
  readonly singularValues: readonly number[];
  /** Where the slider stands. */
  readonly rank: number;
  readonly picked: number | undefined;
  readonly state: TrialState | null;
  readonly fields: TrialFields;
}

/** What the factorizations of a matrix do, tried on the device before anything is written. */
export function createTrialPanel(hooks: TrialHooks): {
  readonly element: HTMLElement;
  show(subject: TrialSubject): void;
  /** Follows the slider. */
  setRank(rank: number): void;
  themeChanged(): void;
} {
  let subject: TrialSubject | null = null;
  let typed = '';
  let chosen: Tried | undefined;
  let drawn: readonly unknown[] = [];
  const ranks = textField('Ranks to try', '', (value) => {
    typed = value;
    update();
  });
  const change = (fields: Partial<TrialFields>) => subject && hooks.changeFields({ ...subject.fields, ...fields });
  const methods = TRIAL_METHODS.map((method) =>
    checkbox(METHOD_NAMES[method], false, (checked) => {
      const rest = subject!.fields.methods.filter((one) => one !== method);
      change({ methods: TRIAL_METHODS.filter((one) => (one === method ? checked : rest.includes(one))) });
    }),
  );
  const number = (label: string, name: 'oversampling' | 'powerIterations' | 'seed') => {
    const [least, most] = TRIAL_LIMITS[name];
    return numberField(label, least, most, (value) => value !== null && change({ [name]: value }));
  };
  const [oversampling, powerIterations, seed] = [
    number('Oversampling', 'oversampling'),
    number('Power iterations', 'powerIterations'),
    number('Seed', 'seed'),
  ];
  const labelled = (text: string, field: HTMLElement) =>
    element('span', { class: 'group' }, element('span', { text }), field);
  const start = button({ label: 'Try it', appearance: 'primary', onClick: begin });
  const cancel = button({ label: 'Cancel', onClick: hooks.cancel });
  const state = element('div', { class: 'spectrum-state' });
  const step = element('span', { attributes: { role: 'status' } });
  const errors = element('div', { class: 'trial-errors' });
  const verdict = element('p', { class: 'trial-verdict' });
  const use = button({ label: '', onClick: () => chosen && subject && hooks.setRank(subject.name, chosen.of.rank) });
  const pictures = createPicturePanel(hooks.pictures);
  const curve = createResidualCurve();
  const curveKey = element(
    'p',
    { class: 'curve-key faint' },
    element('span', { class: 'key-line' }),
    element('span', { text: 'W' }),
    element('span', { class: 'key-line second' }),
    element('span', { text: 'what is left of it' }),
  );
  const products = element('div', { class: 'trial-products' });
  const notes = element('p', { class: 'faint' });
  const results = element(
    'div',
    {},
    errors,
    verdict,
    element('div', { class: 'actions' }, use.element),
    element('h4', { text: 'Entries' }),
    pictures.element,
    element('h4', { text: 'Spectrum' }),
    curveKey,
    curve.element,
    element('h4', { text: 'Products' }),
    products,
    notes,
  );
  const root = element(
    'section',
    { class: 'trial', attributes: { 'aria-label': 'Trial' } },
    element('h3', { text: 'Trial' }),
    element('div', { class: 'toolbar' }, labelled('Ranks', ranks), ...methods.map((method) => method.element)),
    element(
      'div',
      { class: 'toolbar' },
      labelled('Oversampling', oversampling.element),
      labelled('Power iterations', powerIterations.element),
      labelled('Seed', seed.element),
      element('span', { class: 'spring' }),
      start.element,
      cancel.element,
    ),
    state,
    results,
  );

  function choice(): TrialChoice | null {
    if (!subject) return null;
    const full = subject.singularValues.length;
    const wanted = typed.trim() === '' ? ranksAround(subject.rank, full) : readRanks(typed, full);
    return wanted && { ranks: wanted, ...subject.fields };
  }

  function begin(): void {
    const wanted = choice();
    if (wanted && subject) hooks.start(subject.name, wanted);
  }

  function update(): void {
    if (!subject) return;
    const { fields, state: now, singularValues } = subject;
    const wanted = choice();
    ranks.placeholder = ranksAround(subject.rank, singularValues.length).join(', ');
    ranks.setAttribute('aria-invalid', String(wanted === null));
    for (const [at, method] of TRIAL_METHODS.entries()) methods[at]!.set(fields.methods.includes(method));
    oversampling.set(fields.oversampling);
    powerIterations.set(fields.powerIterations);
    seed.set(fields.seed);
    const isRunning = now?.kind === 'running';
    start.set({ disabled: wanted === null || fields.methods.length === 0, hidden: isRunning });
    cancel.set({ hidden: !isRunning });
    showState(now, wanted === null);
    const matrix = now?.kind === 'ready' ? now.trial.matrices[0] : undefined;
    results.hidden = matrix === undefined;
    if (matrix && now?.kind === 'ready') showResults(matrix, now.trial);
    else curve.clear();
  }

  function showState(now: TrialState | null, isWrong: boolean): void {
    const kind = now?.kind ?? 'none';
    state.hidden = !isWrong && (kind === 'ready' || kind === 'none');
    if (now?.kind === 'running') {
      setText(step, now.step === '' ? 'Trying …' : `Trying: ${now.step}`);
      if (state.firstChild?.nextSibling !== step) fill(state, progressRing('Trying'), step);
    } else if (now?.kind === 'failed') fill(state, errorNotice(now.error));
    else if (isWrong && subject) {
      const most = `${TRIAL_LIMITS.ranks} ranks from 1 to ${subject.singularValues.length}`;
      fill(state, element('p', { class: 'notice', text: `Give at most ${most}, separated by commas` }));
    } else fill(state);
  }

  function showResults(matrix: TrialMatrix, trial: Trial): void {
    const { name, singularValues, rank, picked } = subject!;
    const all = triedOf(matrix);
    const same = all.find(({ of, result }) => of.rank === chosen?.of.rank && result.method === chosen.result.method);
    chosen = same ?? all.find(({ of }) => of.rank === rank) ?? all[0];
    if (!chosen) return;
    const { of, result } = chosen;
    use.set({
      label: picked === of.rank ? `Rank ${of.rank} is in the plan` : `Use rank ${of.rank} in the plan`,
      disabled: !of.pays || picked === of.rank,
    });
    const key = [matrix, of.rank, result.method];
    if (key.every((value, at) => value === drawn[at])) return;
    drawn = key;
    showErrors(errors, matrix, chosen, (next) => {
      chosen = next;
      update();
    });
    setText(verdict, verdictText(chosen, matrix));
    verdict.classList.toggle('bad', !of.pays);
    curve.show(singularValues, result.residual.values ?? [], of.rank, of.pays);
    showProducts(products, matrix);
    setText(notes, trial.notes.join(' '));
    // Those of the trial, which the fields may no longer show.
    const { oversampling, powerIterations, probes, seed } = trial;
    const options = { oversampling, powerIterations, probes, seed };
    pictures.show({ name, shape: matrix.shape, method: result.method, rank: of.rank, options });
  }

  return {
    element: root,
    show(next) {
      if (next.name !== subject?.name) {
        typed = ranks.value = '';
        chosen = undefined;
        drawn = [];
      }
      subject = next;
      update();
    },
    setRank(rank) {
      if (!subject) return;
      subject = { ...subject, rank };
      update();
    },
    themeChanged() {
      drawn = [];
    },
  };
}

function verdictText({ of, result }: Tried, { product }: TrialMatrix): string {
  const own = `${METHOD_NAMES[result.method]}, rank ${of.rank}`;
  const share = of.product.parameters / product.parameters;
  const size = of.pays
    ? `${formatPercent(share)} of the parameters`
    : `${formatPercent(share)} of the parameters, so that it saves nothing`;
  const more = result.error - of.leastError;
  const beside =
    result.method === 'exact' || more <= 1e-6
      ? 'the least that is possible'
      : `${formatPercent(more)} above the least possible, ${formatPercent(of.leastError)}`;
  return `${own}: ${size}, error ${formatPercent(result.error)}, ${beside}. Found with ${formatCount(result.cost.multiplyAdds)} multiply-adds.`;
}
