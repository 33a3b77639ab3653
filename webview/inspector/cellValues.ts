import type { MatrixFinding } from '../../src/model/findings.ts';
import { CELL, type CellValues, shareOf } from '../charts/cells.ts';
import { type Basis, type Measure, shownValue } from './measures.ts';

/** Values, states and positions on the colour scale of the matrices `names`. */
export function cellValues(
  names: readonly string[],
  findings: ReadonlyMap<string, MatrixFinding>,
  skipped: ReadonlyMap<string, string>,
  measure: Measure,
  basis: Basis,
): CellValues {
  const states = new Uint8Array(names.length);
  const values = new Float64Array(names.length).fill(Number.NaN);
  names.forEach((name, index) => {
    const finding = findings.get(name);
    if (!finding) states[index] = skipped.has(name) ? CELL.skipped : CELL.pending;
    else {
      states[index] = finding.provenance === 'preview' ? CELL.preview : CELL.exact;
      values[index] = shownValue(measure, basis, finding) ?? Number.NaN;
    }
  });
  const domain = domainOf(values);
  return { states, values, domain, shares: values.map((value) => shareOf(value, domain, measure.scale)) };
}

function domainOf(values: Float64Array): [number, number] | null {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : null;
}
