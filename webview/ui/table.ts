import { formatWhole } from '../../src/base/quantities.ts';
import { inkOn, scaleColor } from './colorScale.ts';
import { element, fill } from './dom.ts';

/** A table column, sortable if it has an `order`. */
export interface Column<Row> {
  readonly head: string;
  readonly text: (row: Row) => string;
  readonly order?: (row: Row) => number | string | null;
  readonly numeric?: boolean;
  /** Position on the colour scale, 0 to 1, for the cell's background. */
  readonly share?: (row: Row) => number | null;
}

interface TableOptions<Row> {
  readonly caption: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  /** Turns the first column into buttons. */
  readonly onSelect?: (row: Row) => void;
  readonly isSelected?: (row: Row) => boolean;
}

const PAGE = 100;

/** Page and sorting of a table, which must survive its being rebuilt as results come. */
export interface TablePlace {
  page: number;
  /** Index of the column to sort by; null keeps the given order. */
  sort: number | null;
  descending: boolean;
}

export const firstPlace = (): TablePlace => ({ page: 0, sort: null, descending: false });

/** Shows `rows` as an HTML table with pages of a hundred, sortable by its heads. */
export function showTable<Row>(root: HTMLElement, options: TableOptions<Row>, place: TablePlace): void {
  const { columns, rows, caption } = options;
  const redraw = () => showTable(root, options, place);
  const sorted = sortRows(rows, place.sort === null ? undefined : columns[place.sort]?.order, place.descending);
  const pages = Math.max(1, Math.ceil(sorted.length / PAGE));
  place.page = Math.min(place.page, pages - 1);
  const shown = sorted.slice(place.page * PAGE, (place.page + 1) * PAGE);
  const head = element('tr', {}, ...columns.map((column, index) => headCell(column, index, place, redraw)));
  const body = element('tbody', {}, ...shown.map((row) => bodyRow(row, options)));
  const table = element(
    'table',
    { class: 'table' },
    element('caption', { class: 'visually-hidden', text: caption }),
    element('thead', {}, head),
    body,
  );
  const old = root.querySelector('.table-scroll');
  const [top, left] = [old?.scrollTop ?? 0, old?.scrollLeft ?? 0];
  const focused = [...root.querySelectorAll<Element>('button')].indexOf(document.activeElement ?? root);
  const scroll = element(
    'div',
    { class: 'table-scroll', attributes: { tabindex: '0', role: 'region', 'aria-label': caption } },
    table,
  );
  fill(root, scroll, pages > 1 ? pager(place, pages, sorted.length, redraw) : null);
  scroll.scrollTo({ top, left });
  if (focused >= 0) root.querySelectorAll('button')[focused]?.focus({ preventScroll: true });
}

/** `rows` sorted by `order`, rows without a value last; unchanged without an order. */
export function sortRows<Row>(
  rows: readonly Row[],
  order: ((row: Row) => number | string | null) | undefined,
  descending: boolean,
): readonly Row[] {
  if (!order) return rows;
  const keyed = rows.map((row) => ({ row, key: order(row) }));
  const sign = descending ? -1 : 1;
  return keyed
    .sort((a, b) => {
      if (a.key === null || b.key === null) return Number(a.key === null) - Number(b.key === null);
      if (typeof a.key === 'number' && typeof b.key === 'number') return sign * (a.key - b.key);
      return sign * String(a.key).localeCompare(String(b.key), 'en', { numeric: true });
    })
    .map(({ row }) => row);
}

function headCell<Row>(column: Column<Row>, index: number, place: TablePlace, redraw: () => void): HTMLElement {
  const active = place.sort === index;
  const cell = element('th', { class: column.numeric ? 'numeric' : '', attributes: { scope: 'col' } });
  if (!column.order) {
    cell.textContent = column.head;
    return cell;
  }
  cell.setAttribute('aria-sort', active ? (place.descending ? 'descending' : 'ascending') : 'none');
  cell.append(
    element('button', {
      class: 'sort',
      text: `${column.head}${active ? (place.descending ? ' ↓' : ' ↑') : ''}`,
      attributes: { type: 'button' },
      on: {
        click: () => {
          place.descending = active && !place.descending;
          place.sort = index;
          place.page = 0;
          redraw();
        },
      },
    }),
  );
  return cell;
}

function bodyRow<Row>(row: Row, { columns, onSelect, isSelected }: TableOptions<Row>): HTMLElement {
  const selected = isSelected?.(row) ?? false;
  return element(
    'tr',
    { class: selected ? 'selected' : '' },
    ...columns.map((column, index) => {
      if (index > 0 || !onSelect)
        return shaded(
          element('td', { class: column.numeric ? 'numeric' : '', text: column.text(row) }),
          column.share?.(row) ?? null,
        );
      return element(
        'th',
        { attributes: { scope: 'row' } },
        element('button', {
          class: 'link name',
          text: column.text(row),
          attributes: { type: 'button', 'aria-pressed': String(selected) },
          on: { click: () => onSelect(row) },
        }),
      );
    }),
  );
}

/** Colours a cell by its position on the scale, with readable text. */
export function shaded<Cell extends HTMLElement>(cell: Cell, share: number | null): Cell {
  if (share !== null) {
    cell.style.backgroundColor = scaleColor(share);
    cell.style.color = inkOn(share);
  }
  return cell;
}

function pager(place: TablePlace, pages: number, count: number, redraw: () => void): HTMLElement {
  const go = (label: string, title: string, page: number) => {
    const made = element('button', { class: 'page', text: label, attributes: { type: 'button', 'aria-label': title } });
    made.disabled = page < 0 || page >= pages;
    made.addEventListener('click', () => {
      place.page = page;
      redraw();
    });
    return made;
  };
  const from = place.page * PAGE;
  return element(
    'div',
    { class: 'pager' },
    go('‹', 'Previous page', place.page - 1),
    element('span', {
      text: `${formatWhole(from + 1)}–${formatWhole(Math.min(count, from + PAGE))} of ${formatWhole(count)}`,
    }),
    go('›', 'Next page', place.page + 1),
  );
}
