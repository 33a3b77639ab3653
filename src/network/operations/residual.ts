import type { Rows } from './rows.ts';

/** x + scale y. */
export function sum(x: Rows, y: Rows, scale: number): Rows {
  return { ...x, values: x.values.map((value, i) => value + scale * y.values[i]!) };
}
