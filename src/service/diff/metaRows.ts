import { isMetaProjection } from '../../model/diff/metaNames.ts';
import type { Selection } from './rows.ts';
import type { Item, Side } from './sides.ts';

/** Of a matrix of either side, these rows in the order of transformers where only one side has that of Meta's code. */
export function selectionOf(
  base: Side,
  other: Side,
  { name, matrix }: Item,
  rows: readonly [number, number] | undefined,
): Selection {
  if (base.isMeta === other.isMeta || !isMetaProjection(name)) return { rows };
  const heads = base.heads ?? other.heads;
  const number = matrix!.role === 'query' ? heads?.queries : heads?.keys;
  return { rows, rowAt: number === undefined ? undefined : metaRow(matrix!.shape[0] / number) };
}

/**
 * The row of Meta's q or k for a row in the order of transformers, by the number of rows in a head. Meta's rotary
 * positions turn neighbouring rows, those of transformers the two halves of a head. Undefined for an odd size.
 */
function metaRow(size: number): ((row: number) => number) | undefined {
  if (!Number.isInteger(size) || size % 2 !== 0) return undefined;
  const half = size / 2;
  return (row) => {
    const within = row % size;
    return row - within + 2 * (within % half) + Math.floor(within / half);
  };
}
