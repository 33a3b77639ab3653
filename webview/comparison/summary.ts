import { formatWhole } from '../../src/base/quantities.ts';
import type { AdapterComparison, ComparedAdapter } from '../../src/model/comparison.ts';
import { element, fill } from '../ui/dom.ts';
import { formatValue, NONE } from '../ui/format.ts';
import { firstPlace, shaded, showTable } from '../ui/table.ts';
import { comparisonMeasure, type PairMeasure, pairText } from './measures.ts';

const PAIR_MEASURES: readonly PairMeasure[] = ['cosine', 'overlapLeft', 'overlapRight'];
/** Of so many and more, squares of all with all say more than a list of pairs. */
const SQUARE_FROM = 3;

/** What the adapters are, and how alike each two of them are over all layers. */
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
            { head: 'Base', text: ({ base }) => base ?? 'not said' },
            { head: 'Naming', text: ({ naming }) => naming },
            { head: 'Layers', numeric: true, text: ({ layers }) => formatWhole(layers), order: ({ layers }) => layers },
            { head: 'Dead', numeric: true, text: ({ dead }) => formatWhole(dead), order: ({ dead }) => dead },
            { head: 'Norm of all', numeric: true, text: ({ norm }) => formatValue(norm), order: ({ norm }) => norm },
            { head: 'File', text: ({ path }) => path },
          ],
        },
        place,
      );
      fill(squares, ...PAIR_MEASURES.map((id) => square(comparison, id)));
    },
  };
}

/** All with all, or with two adapters the one number. */
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
    element('caption', { class: 'visually-hidden', text: `${label} of each two adapters, over all layers` }),
    element('thead', {}, element('tr', {}, element('td'), ...adapters.map(({ label: name }) => head(name, 'col')))),
    element(
      'tbody',
      {},
      ...adapters.map(({ label: name }, row) =>
        element('tr', {}, head(name, 'row'), ...adapters.map((_, column) => cell(row, column))),
      ),
    ),
  );
  const scroll = { tabindex: '0', role: 'region', 'aria-label': `${label} of each two adapters` };
  return element('div', {}, heading, element('div', { class: 'table-scroll', attributes: scroll }, table));
}
