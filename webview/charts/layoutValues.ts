import { quantile } from '../../src/model/distribution.ts';
import { CELL, type CellValues, type Spread, shareOf } from './cells.ts';
import type { Layout } from './layout.ts';

/** The state of a matrix's cell and its value; NaN for none. */
export interface CellValue {
  readonly state: (typeof CELL)[keyof typeof CELL];
  readonly value: number;
}

/**
 * Values, states and positions on the colour scale of all cells of a layout. A group of experts shows the median of
 * those that are known; it is exact once all of them are.
 */
export function layoutValues(
  { matrices, groups }: Pick<Layout, 'matrices' | 'groups'>,
  scale: 'linear' | 'log',
  cellOf: (index: number) => CellValue,
): CellValues {
  const count = matrices.length + groups.length;
  const states = new Uint8Array(count);
  const values = new Float64Array(count).fill(Number.NaN);
  for (let index = 0; index < matrices.length; index++) {
    const { state, value } = cellOf(index);
    states[index] = state;
    values[index] = value;
  }
  const quartiles = new Map<number, readonly [number, number]>();
  groups.forEach(({ members }, position) => {
    const index = matrices.length + position;
    states[index] = stateOf(members, states);
    const known = Float64Array.from(members, (member) => values[member]!).filter((value) => !Number.isNaN(value));
    known.sort();
    values[index] = quantile(known, 0.5);
    if (known.length > 1) quartiles.set(index, [quantile(known, 0.25), quantile(known, 0.75)]);
  });
  const domain = domainOf(values);
  const shareOfValue = (value: number) => shareOf(value, domain, scale);
  const spreads = new Map<number, Spread>();
  for (const [index, [low, high]] of quartiles)
    spreads.set(index, { quartiles: [shareOfValue(low), shareOfValue(high)] });
  return { states, values, domain, shares: values.map(shareOfValue), spreads };
}

/** Skipped members do not keep a group from being exact. */
function stateOf(members: readonly number[], states: Uint8Array): number {
  const counts = new Uint32Array(5);
  for (const member of members) counts[states[member]!]!++;
  if (counts[CELL.skipped] === members.length) return CELL.skipped;
  if (counts[CELL.exact]! + counts[CELL.preview]! === 0) return CELL.pending;
  return counts[CELL.preview]! + counts[CELL.pending]! > 0 ? CELL.preview : CELL.exact;
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
