import { distributionOf } from '../../src/model/distribution.ts';
import type { MatrixFinding } from '../../src/model/findings.ts';
import { groupAt, nameAt } from '../charts/layout.ts';
import { textField } from '../ui/controls.ts';
import { element } from '../ui/dom.ts';
import { formatValue, NONE } from '../ui/format.ts';
import { type Column, firstPlace, showTable } from '../ui/table.ts';
import { findingsOf } from './cellLines.ts';
import { cellText, groupText, shapeText } from './cellText.ts';
import type { Measure } from './measure.ts';
import { type Basis, measureById, shownValue } from './measures.ts';
import { rowsOf } from './rows.ts';
import type { Model, ViewState } from './state.ts';

export interface MatrixTable {
  readonly element: HTMLElement;
  show(model: Model, view: ViewState): void;
}

/**
 * The data of the heatmap as a sortable table that can be filtered, also for those who cannot see the heatmap. The
 * experts of a module and layer are one row, unless the filter picks some of them or their module is opened.
 */
export function createMatrixTable(select: (name: string) => void): MatrixTable {
  const place = firstPlace();
  const root = element('div', { class: 'table-root' });
  let shown: { model: Model; view: ViewState } | null = null;
  let filter = '';
  const search = textField('Filter matrices by name', 'Filter by name', () => undefined);
  search.addEventListener('input', () => {
    filter = search.value;
    place.page = 0;
    draw();
  });
  const body = element('div', { class: 'table-root table-body' });
  root.replaceChildren(search, body);
  const draw = () => {
    if (!shown) return;
    const { model, view } = shown;
    const measure = measureById(view.measure);
    showTable<number>(
      body,
      {
        caption: `Matrices with their ${measure.label.toLowerCase()}`,
        rows: rowsOf(model.layout, filter, view.opened),
        columns: columnsOf(model, measure, view.basis),
        onSelect: (cell) => select(nameAt(model.layout, cell)),
        isSelected: (cell) => nameAt(model.layout, cell) === view.selected,
      },
      place,
    );
  };
  return {
    element: root,
    show(model, view) {
      shown = { model, view };
      draw();
    },
  };
}

function columnsOf(model: Model, measure: Measure, basis: Basis): readonly Column<number>[] {
  const { layout, findings, skipped, ranks } = model;
  /** A number of a matrix, or the median over the experts of a group. */
  const numberOf = (cell: number, value: (finding: MatrixFinding) => number | null): number | null => {
    const group = groupAt(layout, cell);
    if (group) return distributionOf(findingsOf(model, group), value)?.median ?? null;
    const finding = findings.get(layout.matrices[cell]!.name);
    return finding ? value(finding) : null;
  };
  const rank = (head: string, value: (finding: MatrixFinding) => number | null): Column<number> => ({
    head,
    numeric: true,
    text: (cell) => textOf(numberOf(cell, value)),
    order: (cell) => numberOf(cell, value),
  });
  const text = (cell: number) => {
    const group = groupAt(layout, cell);
    if (group) return groupText(group, findingsOf(model, group), measure, basis);
    const matrix = layout.matrices[cell]!;
    return cellText(matrix, findings.get(matrix.name), skipped.get(matrix.name), measure, basis);
  };
  return [
    { head: 'Matrix', text: (cell) => nameAt(layout, cell), order: (cell) => nameAt(layout, cell) },
    {
      head: 'Shape',
      text: (cell) => {
        const group = groupAt(layout, cell);
        const shape = shapeText(layout.matrices[group?.members[0] ?? cell]!);
        return group ? `${group.members.length} × ${shape}` : shape;
      },
    },
    {
      head: measure.label,
      numeric: true,
      text: (cell) => text(cell).value,
      order: (cell) => numberOf(cell, (finding) => shownValue(measure, basis, finding)),
    },
    rank('95 % energy', ({ energyRanks }) => energyRanks['0.95']),
    ...(model.statistics
      ? [rank('95 % energy of W X', ({ activations }) => activations?.energyRanks['0.95'] ?? null)]
      : []),
    rank('Effective', ({ effectiveRank }) => effectiveRank),
    rank('Break-even', ({ breakEvenRank }) => breakEvenRank),
    {
      head: 'Set by hand',
      numeric: true,
      text: (cell) => {
        const members = groupAt(layout, cell)?.members ?? [cell];
        const own = members.flatMap((member) => {
          const { name } = layout.matrices[member]!;
          return Object.hasOwn(ranks, name) ? [ranks[name]!] : [];
        });
        return own.length > 1 ? `${own.length} experts` : own.map(String).join('');
      },
    },
    { head: 'State', text: (cell) => text(cell).status },
  ];
}

function textOf(value: number | null): string {
  return value === null ? NONE : formatValue(value);
}
