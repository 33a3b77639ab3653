import type { DiffedMatrix, DiffedSpectra } from '../../src/model/diff/diff.ts';
import { sampledIndices } from '../charts/marks.ts';
import { type ChartSeries, createPointChart, type PointChart } from '../charts/pointChart.ts';
import type { Theme } from '../charts/theme.ts';
import { button } from '../ui/controls.ts';
import { element, fill, setText } from '../ui/dom.ts';
import { errorNotice } from '../ui/errorNotice.ts';
import { formatPercent, formatShape, formatTick, formatValue, NONE } from '../ui/format.ts';
import { comparedShape, diffPlace } from './matrices.ts';
import type { SpectraState } from './spectra.ts';

/** Values below this share of the largest are rounding noise, which would take up most of a logarithmic axis. */
const DEEPEST = 1e-7;

interface MatrixHooks {
  /** Opens the inspector of the base or of the other model. */
  readonly reveal: (which: 'base' | 'other', matrix: DiffedMatrix) => void;
}

export interface MatrixPane {
  show(matrix: DiffedMatrix | null, spectra: SpectraState | null, theme: Theme): void;
}

/** One matrix in full: its numbers, the spectra of both models and of the difference, and the principal angles. */
export function createMatrixPane(root: HTMLElement, { reveal }: MatrixHooks): MatrixPane {
  const hint = element('p', { class: 'faint', text: 'Select a matrix to see its spectra and angles.' });
  const title = element('h2', { class: 'name' });
  const place = element('p', { class: 'faint' });
  const facts = element('dl', { class: 'facts' });
  const remark = element('p', { class: 'notice' });
  const waiting = element('p', { class: 'faint', attributes: { role: 'status' } });
  const errors = element('div');
  const holder = element('div', { class: 'spectrum-chart', attributes: { role: 'img' } });
  const key = element(
    'p',
    { class: 'faint spectrum-key' },
    ...(
      [
        ['base', 'base'],
        ['other', 'other model'],
        ['difference', 'difference'],
      ] as const
    ).flatMap(([kind, text]) => [element('span', { class: `line ${kind}` }), ` ${text} `]),
  );
  const listOf = (side: string) =>
    element('ol', { class: 'angles', attributes: { tabindex: '0', 'aria-label': `Principal angles of the ${side}` } });
  const [left, right] = [listOf('outputs'), listOf('inputs')];
  const angles = element(
    'div',
    { class: 'angle-columns' },
    element('div', {}, element('h3', { text: 'Angles of the outputs' }), left),
    element('div', {}, element('h3', { text: 'Angles of the inputs' }), right),
  );
  let shown: DiffedMatrix | null = null;
  const open = (which: 'base' | 'other', label: string) =>
    button({ label, onClick: () => shown && reveal(which, shown) }).element;
  const full = element(
    'div',
    { class: 'matrix-full' },
    title,
    place,
    facts,
    remark,
    waiting,
    errors,
    element('figure', {}, holder, key),
    angles,
    element('div', { class: 'tools' }, open('base', 'Show in the base'), open('other', 'Show in the other model')),
  );
  fill(root, hint, full);
  let chart: PointChart | null = null;
  let drawn: readonly [DiffedSpectra, Theme] | null = null;
  return {
    show(matrix, state, theme) {
      shown = matrix;
      hint.hidden = matrix !== null;
      full.hidden = matrix === null;
      if (!matrix) return;
      setText(title, matrix.otherName === undefined ? matrix.name : `${matrix.name} → ${matrix.otherName}`);
      setText(place, `${diffPlace(matrix)} · ${formatShape(comparedShape(matrix))}`);
      fill(facts, ...factsOf(matrix).map(([head, text]) => fact(head, text)));
      remark.hidden = matrix.remark === undefined;
      setText(remark, matrix.remark ?? '');
      setText(waiting, state?.kind === 'loading' ? 'Computing the spectra …' : '');
      fill(errors, state?.kind === 'failed' ? errorNotice(state.error) : null);
      const spectra = state?.kind === 'ready' ? state.spectra : null;
      for (const part of [holder, key]) part.hidden = !spectra;
      angles.hidden = !spectra || spectra.angles.left.length === 0;
      if (!spectra || (drawn?.[0] === spectra && drawn[1] === theme)) return;
      drawn = [spectra, theme];
      chart?.destroy();
      const canvas = element('canvas', { attributes: { 'aria-hidden': 'true' } });
      fill(holder, canvas);
      holder.setAttribute('aria-label', `Singular values of ${matrix.name} in both models and of the difference`);
      chart = createPointChart(canvas, {
        series: seriesOf(spectra, theme),
        x: { title: 'Rank', log: false, min: 0, max: spectra.base.length + 1, tick: String },
        y: { title: 'Singular value', log: true, tick: formatTick },
        levels: [],
        theme,
        onPick: () => undefined,
      });
      for (const [list, own] of [[left, spectra.angles.left] as const, [right, spectra.angles.right] as const])
        fill(list, ...own.map((angle) => element('li', { text: `${angle.toFixed(1)}°` })));
    },
  };
}

function seriesOf({ base, other, difference }: DiffedSpectra, theme: Theme): ChartSeries[] {
  const floor = Math.max(base[0] ?? 0, other[0] ?? 0) * DEEPEST;
  const colors = [theme.line, theme.secondLine, theme.marks.energy];
  return [base, other, difference].map((values, which) => ({
    points: sampledIndices(values.length, 400)
      .filter((index) => values[index]! > floor)
      .map((index) => {
        const y = values[index]!;
        return { id: `${which} ${index}`, x: index + 1, y, low: y, high: y };
      }),
    color: colors[which]!,
    shape: 'none',
    joined: true,
  }));
}

const STATES = { identical: 'bit-identical', equal: 'equal values in another type', changed: 'changed' } as const;

function factsOf(matrix: DiffedMatrix): (readonly [string, string])[] {
  const { state, change, largestDifference, cosine, difference, valueChange, turn, dtype, otherDtype } = matrix;
  const percent = (value: number | null) => (value === null ? NONE : formatPercent(Number(value.toPrecision(3))));
  const number = (value: number | null | undefined) =>
    value === null || value === undefined ? NONE : formatValue(Number(value.toPrecision(3)));
  const types = [['Type', otherDtype === undefined ? dtype : `${dtype} → ${otherDtype}`]] as const;
  if (state !== 'changed') return [['State', STATES[state]], ...types];
  return [
    ['Relative change', percent(change)],
    ['Largest change of an entry', number(largestDifference)],
    ['Cosine', cosine === null ? NONE : cosine.toFixed(4)],
    ['Rank of the difference', `${number(difference?.energyRanks['0.99'])} (99 % of its energy)`],
    ['Stable rank', number(difference?.stableRank)],
    ['Effective rank', number(difference?.effectiveRank)],
    ['Change of the values', percent(valueChange)],
    [
      'Turn',
      turn ? `${turn.left.mean.toFixed(1)}° out, ${turn.right.mean.toFixed(1)}° in (${turn.rank} directions)` : NONE,
    ],
    ...types,
  ];
}

function fact(head: string, text: string): HTMLElement {
  return element('div', {}, element('dt', { text: head }), element('dd', { text }));
}
