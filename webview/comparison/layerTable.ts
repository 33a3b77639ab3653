import type { AdapterComparison, ComparedLayer } from '../../src/model/comparison.ts';
import { showTable, type TablePlace } from '../ui/table.ts';
import { type ComparisonMeasure, columnsOf, mergedText } from './measures.ts';

/** A heatmap of layers by adapters, or by pairs, in the form of a sortable table with coloured cells. */
export function showComparisonTable(
  root: HTMLElement,
  comparison: AdapterComparison,
  measure: ComparisonMeasure,
  place: TablePlace,
  { selected, select }: { readonly selected: string | null; readonly select: (name: string) => void },
): void {
  showTable<ComparedLayer>(
    root,
    {
      caption: `Layers with their ${measure.label.toLowerCase()}`,
      rows: comparison.layers,
      columns: [
        { head: 'Layer', text: ({ name }) => name, order: ({ name }) => name },
        ...columnsOf(comparison, measure).map(({ head, text, value, share }) => ({
          head,
          text,
          order: value,
          share,
          numeric: true,
        })),
        {
          head: 'Rank of the sum',
          numeric: true,
          text: mergedText,
          order: ({ merged }) => merged?.rank ?? null,
        },
      ],
      onSelect: ({ name }) => select(name),
      isSelected: ({ name }) => name === selected,
    },
    place,
  );
}
