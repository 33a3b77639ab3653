import type { AdapterComparison, ComparedLayer, ComparedPair, ComparedUpdate } from '../../src/model/comparison.ts';
import { element, fill } from '../ui/dom.ts';
import { formatPercent, formatShape, formatValue, NONE } from '../ui/format.ts';
import { firstPlace, showTable } from '../ui/table.ts';
import { chanceOverlap, formatCosine, formatOverlap, updateText } from './measures.ts';

interface LayerHooks {
  /** Opens the inspector of one adapter and shows this matrix. */
  readonly reveal: (path: string, matrix: string) => void;
}

/** One layer in detail: each adapter's update, the similarity of each pair, and the rank of their sum. */
export function createComparisonLayer(
  root: HTMLElement,
  hooks: LayerHooks,
): { show(comparison: AdapterComparison, layer: ComparedLayer | null): void } {
  const title = element('h2', { class: 'name' });
  const shape = element('p', { class: 'faint number' });
  const remark = element('p', { class: 'notice' });
  const updates = element('div', { class: 'table-root' });
  const pairs = element('div', { class: 'table-root' });
  const merged = element('p');
  const hint = element('p', { class: 'faint', text: 'Select a layer to compare its adapters.' });
  const full = element(
    'div',
    { class: 'layer-full' },
    title,
    shape,
    remark,
    element('h3', { text: 'Updates' }),
    updates,
    element('h3', { text: 'Pairs' }),
    pairs,
    element('h3', { text: 'Sum of all updates' }),
    merged,
  );
  fill(root, hint, full);
  const places = [firstPlace(), firstPlace()] as const;
  return {
    show(comparison, layer) {
      hint.hidden = layer !== null;
      full.hidden = layer === null;
      if (!layer) return;
      title.textContent = layer.name;
      const same = sameShape(layer);
      shape.textContent = same === null ? '' : formatShape(same);
      shape.hidden = same === null;
      remark.hidden = layer.remark === undefined;
      remark.textContent = layer.remark ?? '';
      showUpdates(updates, comparison, layer, places[0], hooks);
      showPairs(pairs, comparison, layer, places[1]);
      merged.textContent = layer.merged
        ? `Rank ${layer.merged.rank} holds 99 % of the energy of the sum. Concatenated, the updates have rank ${layer.merged.concatenated}. The norm of the sum is ${formatValue(layer.merged.norm)}.`
        : 'The updates of this layer cannot be added.';
    },
  };
}

function showUpdates(
  root: HTMLElement,
  { adapters }: AdapterComparison,
  layer: ComparedLayer,
  place: ReturnType<typeof firstPlace>,
  { reveal }: LayerHooks,
): void {
  const rows = adapters.map((adapter, index) => ({ adapter, update: layer.updates[index] ?? null }));
  type Row = (typeof rows)[number];
  const number = (
    head: string,
    value: (update: ComparedUpdate) => number,
    text = formatValue as (value: number) => string,
  ) => ({
    head,
    numeric: true,
    text: ({ update }: Row) => (update ? text(value(update)) : NONE),
    order: ({ update }: Row) => (update ? value(update) : null),
  });
  showTable<Row>(
    root,
    {
      caption: `Adapters of ${layer.name}`,
      rows,
      columns: [
        { head: 'Adapter', text: ({ adapter }) => adapter.label },
        number('Norm', ({ norm }) => norm),
        {
          ...number('Utilised rank', ({ utilisedRank }) => utilisedRank),
          text: ({ update }) => (update ? `${update.utilisedRank} of ${update.rank}` : NONE),
        },
        number('Effective rank', ({ effectiveRank }) => effectiveRank),
        number('Scale', ({ scale }) => scale),
        ...(sameShape(layer) === null
          ? [{ head: 'Shape', text: ({ update }: Row) => (update ? formatShape(update.shape) : NONE) }]
          : []),
        ...(rows.some(({ update }) => updateText(update) !== '')
          ? [{ head: 'State', text: ({ update }: Row) => updateText(update) }]
          : []),
      ],
      onSelect: ({ adapter, update }) => update && reveal(adapter.path, update.matrix),
    },
    place,
  );
}

/** [m, n] of the matrix, if all adapters agree on it. */
function sameShape({ updates }: ComparedLayer): readonly [number, number] | null {
  const shapes = updates.flatMap((update) => (update ? [update.shape] : []));
  return shapes.every((shape) => String(shape) === String(shapes[0])) ? (shapes[0] ?? null) : null;
}

function showPairs(
  root: HTMLElement,
  { adapters }: AdapterComparison,
  { name, pairs, updates }: ComparedLayer,
  place: ReturnType<typeof firstPlace>,
): void {
  const overlap = (pair: ComparedPair, id: 'overlapLeft' | 'overlapRight') => {
    const [one, other] = [updates[pair.first], updates[pair.second]];
    if (pair[id] === null || !one || !other) return formatOverlap(pair[id]);
    const size = one.shape[id === 'overlapLeft' ? 0 : 1];
    const chance = chanceOverlap(one.utilisedRank, other.utilisedRank, size);
    return `${formatOverlap(pair[id])} (chance ${formatPercent(Number(chance.toPrecision(2)))})`;
  };
  showTable<ComparedPair>(
    root,
    {
      caption: `Pairs of adapters of ${name}`,
      rows: pairs,
      columns: [
        { head: 'Adapters', text: ({ first, second }) => `${adapters[first]?.label} · ${adapters[second]?.label}` },
        { head: 'Cosine', numeric: true, text: ({ cosine }) => formatCosine(cosine), order: ({ cosine }) => cosine },
        {
          head: 'Output overlap',
          numeric: true,
          text: (pair) => overlap(pair, 'overlapLeft'),
          order: ({ overlapLeft }) => overlapLeft,
        },
        {
          head: 'Input overlap',
          numeric: true,
          text: (pair) => overlap(pair, 'overlapRight'),
          order: ({ overlapRight }) => overlapRight,
        },
      ],
    },
    place,
  );
}
