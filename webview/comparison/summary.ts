import { formatWhole } from '../../src/base/quantities.ts';
import type { AdapterComparison, ComparedAdapter, ModuleRanks } from '../../src/model/comparison.ts';
import { element, fill } from '../ui/dom.ts';
import { formatValue, NONE } from '../ui/format.ts';
import { firstPlace, shaded, showTable, type TablePlace } from '../ui/table.ts';
import { comparisonMeasure, type PairMeasure, pairText } from './measures.ts';

const PAIR_MEASURES: readonly PairMeasure[] = ['cosine', 'overlapLeft', 'overlapRight'];
/** From this number of adapters on, pairs are shown as a matrix. */
const SQUARE_FROM = 3;

/** The adapters, and the similarity of each pair over all layers. */
export function createComparisonSummary(root: HTMLElement): { show(comparison: AdapterComparison): void } {
  const adapters = element('div', { class: 'table-root' });
  const squares = element('div', { class: 'squares' });
  const answer = element('p', { class: 'answer' });
  const modules = element('div', { class: 'table-root' });
  fill(
    root,
    answer,
    adapters,
    element('div', { class: 'modules' }, element('h3', { text: 'Effective rank by module' }), modules),
    squares,
  );
  const [place, modulePlace] = [firstPlace(), firstPlace()];
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
      answer.textContent = answerText(comparison);
      showModules(modules, comparison, modulePlace);
      fill(squares, ...PAIR_MEASURES.map((id) => square(comparison, id)));
    },
  };
}

/** Whether one rank serves all adapters, and what their sums need. */
function answerText({ across: { sentence, merged } }: AdapterComparison): string {
  if (!merged) return sentence;
  const of = `${formatWhole(merged.rank)} of ${formatWhole(merged.concatenated)}`;
  return `${sentence} Over all layers, the sums of their updates have rank ${of}, at most ${merged.largest} in one layer.`;
}

function showModules(root: HTMLElement, { adapters, across }: AdapterComparison, place: TablePlace): void {
  const highest = Math.max(0, ...across.modules.flatMap(({ effective }) => effective.map((value) => value ?? 0)));
  showTable<ModuleRanks>(
    root,
    {
      caption: 'Effective rank by module',
      rows: across.modules,
      columns: [
        { head: 'Module', text: ({ module }) => module, order: ({ module }) => module },
        ...adapters.map(({ label }, index) => {
          const own = ({ effective }: ModuleRanks) => effective[index] ?? null;
          return {
            head: label,
            numeric: true,
            text: (row: ModuleRanks) => (own(row) === null ? NONE : formatValue(own(row)!)),
            order: own,
            share: (row: ModuleRanks) => (own(row) === null || highest === 0 ? null : own(row)! / highest),
          };
        }),
        {
          head: 'Rank of the sums',
          numeric: true,
          text: ({ merged }) => (merged ? `${merged.rank} of ${merged.concatenated}` : NONE),
          order: ({ merged }) => merged?.rank ?? null,
        },
      ],
    },
    place,
  );
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
