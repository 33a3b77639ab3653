/**
 * The row of Meta's q or k for a row in the order of transformers, by the number of rows in a head. Meta's rotary
 * positions turn neighbouring rows, those of transformers the two halves of a head. Undefined for an odd size.
 */
export function metaRow(size: number): ((row: number) => number) | undefined {
  if (!Number.isInteger(size) || size % 2 !== 0) return undefined;
  const half = size / 2;
  return (row) => {
    const within = row % size;
    return row - within + 2 * (within % half) + Math.floor(within / half);
  };
}
