import { emptyRows, type Rows } from './rows.ts';

/** x + scale y. */
export function sum(x: Rows, y: Rows, scale: number): Rows {
  const out = emptyRows(x.rows, x.cols);
  for (let i = 0; i < out.values.length; i++) out.values[i] = x.values[i]! + scale * y.values[i]!;
  return out;
}
