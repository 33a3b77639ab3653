import type { MatrixFinding } from '../../src/model/findings.ts';
import { element } from '../ui/dom.ts';
import { formatPercent, formatValue, NONE } from '../ui/format.ts';
import type { Measure } from './measure.ts';
import { fullRank, MEASURES } from './measures.ts';
import { statisticsText } from './statisticsText.ts';

/** All measures of one matrix; hovering or focusing one explains it. */
export function createMeasureList(): { readonly element: HTMLElement; show(finding: MatrixFinding | undefined): void } {
  const meaning = element('div', {
    class: 'meaning',
    attributes: { id: 'measure-meaning', role: 'tooltip', hidden: '' },
  });
  const columns = { weights: lists(), activations: lists() };
  const seen = element('p', { class: 'faint statistics' });
  const ofActivations = element(
    'div',
    { class: 'as-seen' },
    element('h3', { text: 'As the activations see it (W X)' }),
    seen,
    columns.activations.element,
  );
  const root = element(
    'section',
    { class: 'measure-list', attributes: { 'aria-label': 'Measures' } },
    element('h3', { text: 'Measures' }),
    columns.weights.element,
    meaning,
  );
  const explain = (row: HTMLElement, measure: Measure) => {
    meaning.textContent = measure.explanation;
    meaning.hidden = false;
    row.setAttribute('aria-describedby', meaning.id);
    meaning.style.top = `${row.offsetTop + row.offsetHeight + 4}px`;
  };
  const hush = (row: HTMLElement) => {
    meaning.hidden = true;
    row.removeAttribute('aria-describedby');
  };
  root.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') meaning.hidden = true;
  });
  const rows = MEASURES.flatMap((measure) => {
    // Both ranks are listed, and their difference can be seen.
    if (measure.family === 'difference') return [];
    const value = element('span', { class: 'number' });
    const share = element('span', { class: 'faint number share', attributes: { title: 'of the full rank' } });
    const label = measure.family === 'weights' ? measure.label : measure.label.replace(' of W X', '');
    const row = element(
      'div',
      { class: 'measure', attributes: { role: 'listitem', tabindex: '0' } },
      element('span', { class: 'term', text: label }),
      value,
      measure.kind === 'rank' ? share : null,
    );
    row.addEventListener('pointerenter', () => explain(row, measure));
    row.addEventListener('pointerleave', () => hush(row));
    row.addEventListener('focus', () => explain(row, measure));
    row.addEventListener('blur', () => hush(row));
    columns[measure.family][measure.kind].append(row);
    return [{ measure, row, value, share }];
  });
  return {
    element: root,
    show(finding) {
      if (finding?.activations) meaning.before(ofActivations);
      else ofActivations.remove();
      seen.textContent = finding?.activations ? statisticsText(finding) : '';
      for (const { measure, row, value, share } of rows) {
        const number = finding ? measure.value(finding) : null;
        value.textContent = number === null ? NONE : formatValue(number);
        const full = finding ? fullRank(finding) : 1;
        row.hidden = measure.quantizedOnly === true && number === null;
        share.textContent =
          number === null || measure.kind !== 'rank' ? '' : formatPercent(Number((number / full).toPrecision(3)));
      }
    },
  };
}

/** Two lists beside each other. */
function lists(): { readonly element: HTMLElement; readonly rank: HTMLElement; readonly number: HTMLElement } {
  const rank = element('div', { attributes: { role: 'list' } });
  const number = element('div', { attributes: { role: 'list' } });
  return { element: element('div', { class: 'measures' }, rank, number), rank, number };
}
