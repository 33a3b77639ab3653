import type { MatrixFinding } from '../../src/model/findings.ts';
import { formatValue, NONE } from '../ui/format.ts';
import { type Column, showTable, type TablePlace } from '../ui/table.ts';
import { cellText, shapeText } from './cellText.ts';
import { measureById, shownValue } from './measures.ts';
import type { Model, ViewState } from './state.ts';

/** The data of the heatmap as a sortable table, also for those who cannot see the heatmap. */
export function showMatrixTable(
  root: HTMLElement,
  model: Model,
  view: ViewState,
  place: TablePlace,
  select: (name: string) => void,
): void {
  const measure = measureById(view.measure);
  const finding = (name: string) => model.findings.get(name);
  const rank = (head: string, value: (finding: MatrixFinding) => number): Column<Row> => ({
    head,
    numeric: true,
    text: ({ name }) => textOf(finding(name), value),
    order: ({ name }) => numberOf(finding(name), value),
  });
  const status = ({ index, name }: Row) =>
    cellText(model.layout.matrices[index]!, finding(name), model.skipped.get(name), measure, view.basis);
  showTable<Row>(
    root,
    {
      caption: `Matrices with their ${measure.label.toLowerCase()}`,
      rows: model.layout.matrices.map(({ name }, index) => ({ name, index })),
      columns: [
        { head: 'Matrix', text: ({ name }) => name, order: ({ name }) => name },
        { head: 'Shape', text: ({ index }) => shapeText(model.layout.matrices[index]!) },
        {
          head: measure.label,
          numeric: true,
          text: (row) => status(row).value,
          order: ({ name }) => (finding(name) ? shownValue(measure, view.basis, finding(name)!) : null),
        },
        rank('95 % energy', ({ energyRanks }) => energyRanks['0.95']),
        rank('Effective', ({ effectiveRank }) => effectiveRank),
        rank('Break-even', ({ breakEvenRank }) => breakEvenRank),
        {
          head: 'Set by hand',
          numeric: true,
          text: ({ name }) => (Object.hasOwn(model.ranks, name) ? String(model.ranks[name]) : ''),
        },
        { head: 'State', text: (row) => status(row).status },
      ],
      onSelect: ({ name }) => select(name),
      isSelected: ({ name }) => name === view.selected,
    },
    place,
  );
}

interface Row {
  readonly name: string;
  readonly index: number;
}

function textOf(finding: MatrixFinding | undefined, value: (finding: MatrixFinding) => number): string {
  return finding ? formatValue(value(finding)) : NONE;
}

function numberOf(finding: MatrixFinding | undefined, value: (finding: MatrixFinding) => number): number | null {
  return finding ? value(finding) : null;
}
