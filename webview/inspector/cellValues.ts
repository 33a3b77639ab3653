import type { MatrixFinding } from '../../src/model/findings.ts';
import { CELL, type CellValues } from '../charts/cells.ts';
import type { Layout } from '../charts/layout.ts';
import { layoutValues } from '../charts/layoutValues.ts';
import type { Measure } from './measure.ts';
import { type Basis, shownValue } from './measures.ts';

/** The cells of a layout under one measure. */
export function cellValues(
  layout: Pick<Layout, 'matrices' | 'groups'>,
  findings: ReadonlyMap<string, MatrixFinding>,
  skipped: ReadonlyMap<string, string>,
  measure: Measure,
  basis: Basis,
): CellValues {
  return layoutValues(layout, measure.scale, (index) => {
    const { name } = layout.matrices[index]!;
    const finding = findings.get(name);
    if (!finding) return { state: skipped.has(name) ? CELL.skipped : CELL.pending, value: Number.NaN };
    const state = finding.provenance === 'preview' ? CELL.preview : CELL.exact;
    return { state, value: shownValue(measure, basis, finding) ?? Number.NaN };
  });
}
