/**
 * Multiplications up to which OpenBLAS has kernels for AVX-512 that read their operands where they lie; larger products
 * copy both first, which takes a third of the time if one of them has only a few dozen rows.
 */
export const IN_PLACE = 1e6;

/** The depth of a piece of a product with so few rows, or columns, and the other side of its result. */
export const pieceDepth = (few: number): number => Math.min(512, Math.max(160, Math.ceil(5120 / few)));
export const pieceWidth = (few: number): number =>
  Math.max(16, Math.floor(IN_PLACE / (pieceDepth(few) * few * 16)) * 16);
