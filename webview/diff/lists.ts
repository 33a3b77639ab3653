import { formatCount } from '../../src/base/quantities.ts';
import type { ModelDiff } from '../../src/model/diff/diff.ts';
import { select } from '../ui/controls.ts';
import { element, fill } from '../ui/dom.ts';
import { formatPercent, formatShape, formatValue } from '../ui/format.ts';
import { firstPlace, showTable } from '../ui/table.ts';

/** One line of a list. */
interface Row {
  readonly name: string;
  readonly what: string;
  readonly size: number | null;
}

interface List {
  readonly id: string;
  readonly label: string;
  /** The head of the second column. */
  readonly head: string;
  readonly rows: readonly Row[];
}

/** Tensors that are missing, added, reshaped, renamed, retyped, bit-identical or no matrices, one list at a time. */
export function createLists(
  root: HTMLElement,
  change: (list: string) => void,
): { show(diff: ModelDiff, list: string): void } {
  const choice = select('List', [], change);
  const table = element('div', { class: 'table-root' });
  const none = element('p', {
    class: 'faint',
    text: 'No tensor is missing, added, reshaped, renamed, retyped or equal.',
  });
  const place = firstPlace();
  fill(root, element('h2', { text: 'Tensors' }), none, element('div', { class: 'tools' }, choice.element), table);
  let shown: string | null = null;
  return {
    show(diff, wanted) {
      const lists = listsOf(diff).filter(({ rows }) => rows.length > 0);
      const list = lists.find(({ id }) => id === wanted) ?? lists[0];
      none.hidden = list !== undefined;
      choice.element.hidden = list === undefined;
      table.hidden = list === undefined;
      if (!list) return;
      choice.setOptions(lists.map(({ id, label, rows }) => ({ id, label: `${label} (${formatCount(rows.length)})` })));
      choice.set(list.id);
      if (shown !== list.id) Object.assign(place, firstPlace());
      shown = list.id;
      showTable<Row>(
        table,
        {
          caption: list.label,
          rows: list.rows,
          columns: [
            { head: 'Tensor', text: ({ name }) => name, order: ({ name }) => name },
            { head: list.head, text: ({ what }) => what, order: ({ what, size }) => size ?? what },
          ],
        },
        place,
      );
    },
  };
}

function listsOf({ matrices, vectors, missing, added, reshaped, skipped }: ModelDiff): List[] {
  const all = [...matrices, ...vectors];
  const unmatched = (tensors: ModelDiff['missing']): Row[] =>
    tensors.map(({ name, shape }) => ({ name, what: formatShape(shape), size: null }));
  const named = (id: string, label: string, head: string, rows: readonly Omit<Row, 'size'>[]): List => ({
    id,
    label,
    head,
    rows: rows.map((row) => ({ size: null, ...row })),
  });
  return [
    {
      id: 'vectors',
      label: 'Changed norms, biases and other tensors',
      head: 'Relative change',
      rows: vectors
        .filter(({ state }) => state === 'changed')
        .map(({ name, change, largestDifference }) => ({
          name,
          what:
            change === null ? `up to ${formatValue(largestDifference)}` : formatPercent(Number(change.toPrecision(3))),
          size: change,
        })),
    },
    { id: 'missing', label: 'Missing in the other model', head: 'Shape', rows: unmatched(missing) },
    { id: 'added', label: 'Added in the other model', head: 'Shape', rows: unmatched(added) },
    named(
      'reshaped',
      'Reshaped',
      'Shapes',
      reshaped.map(({ name, shape, otherShape }) => ({
        name,
        what: `${formatShape(shape)} → ${formatShape(otherShape)}`,
      })),
    ),
    named(
      'renamed',
      'Renamed',
      'Name in the other model',
      all.flatMap(({ name, otherName }) => (otherName === undefined ? [] : [{ name, what: otherName }])),
    ),
    named(
      'retyped',
      'Retyped',
      'Types',
      all.flatMap(({ name, dtype, otherDtype }) =>
        otherDtype === undefined ? [] : [{ name, what: `${dtype} → ${otherDtype}` }],
      ),
    ),
    named(
      'identical',
      'Bit-identical',
      'Shape',
      all.flatMap(({ name, shape, state }) => (state === 'identical' ? [{ name, what: formatShape(shape) }] : [])),
    ),
    named(
      'equal',
      'Equal in another type',
      'Types',
      all.flatMap(({ name, state, dtype, otherDtype }) =>
        state === 'equal' ? [{ name, what: `${dtype} → ${otherDtype ?? dtype}` }] : [],
      ),
    ),
    named(
      'skipped',
      'Left out',
      'Reason',
      skipped.map(({ name, reason }) => ({ name, what: reason })),
    ),
  ];
}
