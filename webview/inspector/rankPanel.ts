import { formatBytes, formatCount, formatWhole } from '../../src/base/quantities.ts';
import { button, numberField, slider } from '../ui/controls.ts';
import { element, setText } from '../ui/dom.ts';
import { formatPercent } from '../ui/format.ts';
import type { RankOutcome, rankOutcomes } from './rankOutcome.ts';

interface RankPanelHooks {
  readonly moved: (rank: number, outcome: RankOutcome) => void;
  readonly pick: (rank: number) => void;
  /** Leaves the rank to the plan again. */
  readonly clear: () => void;
}

interface Outcomes {
  readonly outcomes: ReturnType<typeof rankOutcomes>;
  readonly seen: ReturnType<typeof rankOutcomes> | undefined;
}

export interface RankPanel {
  readonly element: HTMLElement;
  /** `seen` are the outcomes of W X, if statistics of the inputs are in use. */
  show(of: Outcomes, rank: number, picked: number | undefined): void;
  setRank(rank: number): void;
}

/** The rank slider, with the cost and the error of the current rank. */
export function createRankPanel(hooks: RankPanelHooks): RankPanel {
  const moveTo = (rank: number | null) => {
    if (rank !== null) draw(rank);
  };
  const range = slider('Rank', moveTo);
  const field = numberField('Rank, as a number', 1, 1, moveTo);
  const use = button({ label: 'Use this rank', appearance: 'primary', onClick: () => hooks.pick(current) });
  const clear = button({ label: '', onClick: () => hooks.clear() });
  const verdict = element('p', { class: 'verdict', attributes: { role: 'status' } });
  const facts = element('dl', { class: 'outcome' });
  const values = Object.fromEntries(
    ['Error', 'Energy kept', 'Ratio', 'Parameters', 'Bytes', 'Error on the text'].map((term) => {
      const value = element('dd');
      facts.append(element('div', {}, element('dt', { text: term }), value));
      return [term, value];
    }),
  ) as Record<'Error' | 'Energy kept' | 'Parameters' | 'Bytes' | 'Ratio' | 'Error on the text', HTMLElement>;
  const onText = values['Error on the text'];
  onText.title =
    'Relative error of the outputs, ||(W - W′) X|| / ||W X||, of the best W′ of this rank for these inputs';
  values.Error.title = 'Relative Frobenius error of the best approximation of this rank';
  const root = element(
    'section',
    { class: 'rank-panel', attributes: { 'aria-label': 'Rank' } },
    element(
      'div',
      { class: 'rank-line' },
      element('span', { class: 'rank-label', text: 'Rank' }),
      range.element,
      field.element,
    ),
    verdict,
    facts,
    element('div', { class: 'actions' }, use.element, clear.element),
  );
  let current = 1;
  let outcomes: ReturnType<typeof rankOutcomes> | null = null;
  let seen: Outcomes['seen'];
  let picked: number | undefined;
  const draw = (rank: number) => {
    if (!outcomes) return;
    current = rank;
    const outcome = outcomes.at(rank);
    range.set(rank);
    field.set(rank);
    range.describe(`rank ${rank}, ${verdictText(outcome)}, error ${formatPercent(outcome.error)}`);
    setText(verdict, verdictText(outcome));
    verdict.classList.toggle('bad', !outcome.pays);
    root.classList.toggle('bad', !outcome.pays);
    setText(values.Error, formatPercent(outcome.error));
    setText(values['Energy kept'], formatPercent(outcome.energy));
    setText(values.Parameters, `${formatCount(outcome.parametersAfter)} of ${formatCount(outcome.parametersBefore)}`);
    values.Parameters.title = `${formatWhole(outcome.parametersAfter)} of ${formatWhole(outcome.parametersBefore)}`;
    setText(values.Bytes, `${formatBytes(outcome.bytesAfter)} of ${formatBytes(outcome.bytesBefore)}`);
    onText.parentElement!.hidden = !seen;
    if (seen) setText(onText, formatPercent(seen.at(rank).error));
    setText(values.Ratio, formatPercent(outcome.parametersAfter / outcome.parametersBefore));
    use.set({ disabled: !outcome.pays || picked === rank, label: picked === rank ? 'In the plan' : 'Use this rank' });
    hooks.moved(rank, outcome);
  };
  return {
    element: root,
    show(next, rank, nextPicked) {
      ({ outcomes, seen } = next);
      picked = nextPicked;
      range.setRange(1, outcomes.fullRank, 1);
      field.setRange(1, outcomes.fullRank);
      const { breakEven } = outcomes.at(1);
      // The track turns red where the factors become larger than the matrix.
      range.element.style.setProperty(
        '--break-even',
        `${(Math.max(0, breakEven - 1) / Math.max(1, outcomes.fullRank - 1)) * 100}%`,
      );
      clear.set({ hidden: picked === undefined, label: `Clear rank ${picked}` });
      draw(Math.min(rank, outcomes.fullRank));
    },
    setRank: draw,
  };
}

/** Whether the rank saves parameters, in words. */
function verdictText({ pays, parametersAfter, parametersBefore, breakEven }: RankOutcome): string {
  const ratio = parametersAfter / parametersBefore;
  if (pays) return `Saves ${formatPercent(1 - ratio)} of the parameters (${(1 / ratio).toPrecision(3)} × smaller)`;
  if (ratio === 1)
    return `Saves nothing: the factors are as large as the matrix. The break-even rank is ${formatWhole(breakEven)}`;
  return `Saves nothing: ${formatPercent(ratio - 1)} more parameters than the matrix. The break-even rank is ${formatWhole(breakEven)}`;
}
