import { formatWhole } from '../../src/base/quantities.ts';
import type { AdapterComparison, ComparedAdapter } from '../../src/model/comparison.ts';
import { element, fill } from '../ui/dom.ts';
import { formatValue, NONE } from '../ui/format.ts';
import { firstPlace, shaded, showTable } from '../ui/table.ts';
import { comparisonMeasure, type PairMeasure, pairText } from './measures.ts';

const PAIR_MEASURES: readonly PairMeasure[] = ['cosine', 'overlapLeft', 'overlapRight'];
/** From this number of adapters on, pairs are shown as a matrix. */
const SQUARE_FROM = 3;

/** The adapters, and the similarity of each pair over all layers. */
export function createComparisonSummary(root: HTMLElement): { show(comparison: AdapterComparison): void } {
  const adapters = element('div', { class: 'table-root' });
  const squares = element('div', { class: 'squares' });
  fill(root, adapters, squares);
  const place = firstPlace();
  return {
    show(comparison) {
      showTable<ComparedAdapter>(
        adapters,
        {
          caption: 'Adapters',
          rows: comparison.adapters,
          columns: [
            { head: 'Adapter', text: ({ label }) => label },
            { head: 'Base', text: ({ base }) => base ?? 'unknown' },
            { head: 'Naming', text: ({ naming }) => naming },
            { head: 'Layers', numeric: true, text: ({ layers }) => formatWhole(layers), order: ({ layers }) => layers },
            { head: 'Dead', numeric: true, text: ({ dead }) => formatWhole(dead), order: ({ dead }) => dead },
            { head: 'Total norm', numeric: true, text: ({ norm }) => formatValue(norm), order: ({ norm }) => norm },
            { head: 'File', text: ({ path }) => path },
          ],
        },
        place,
      );
      fill(squares, ...PAIR_MEASURES.map((id) => square(comparison, id)));
    },
  };
}

/** A matrix of all pairs or, for two adapters, a single number. */
function square({ adapters, pairs }: AdapterComparison, id: PairMeasure): HTMLElement {
  const { label, explanation, domain = [0, 1] } = comparisonMeasure(id);
  const heading = element('h3', { text: `${label} over all layers`, attributes: { title: explanation } });
  if (adapters.length < SQUARE_FROM)
    return element('div', {}, heading, element('p', { class: 'figure number', text: pairText(id, pairs[0]) }));
  const cell = (row: number, column: number) => {
    const pair = pairs.find(({ first, second }) => first === Math.min(row, column) && second === Math.max(row, column));
    const value = pair?.[id] ?? null;
    const made = element('td', { class: 'numeric', text: row === column ? NONE : pairText(id, pair) });
    return shaded(made, value === null ? null : (value - domain[0]) / (domain[1] - domain[0]));
  };
  const head = (text: string, scope: 'row' | 'col') => element('th', { text, attributes: { scope, title: text } });
  const table = element(
    'table',
    { class: 'table square' },
    element('caption', { class: 'visually-hidden', text: `${label} of each pair of adapters, over all layers` }),
    element('thead', {}, element('tr', {}, element('td'), ...adapters.map(({ label: name }) => head(name, 'col')))),
    element(
      'tbody',
      {},
      ...adapters.map(({ label: name }, row) =>
        element('tr', {}, head(name, 'row'), ...adapters.map((_, column) => cell(row, column))),
      ),
    ),
  );
  const scroll = { tabindex: '0', role: 'region', 'aria-label': `${label} of each pair of adapters` };
  return element('div', {}, heading, element('div', { class: 'table-scroll', attributes: scroll }, table));
}
