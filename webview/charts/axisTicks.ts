/**
 * Whether a logarithmic axis over `decades` labels `value`: powers of ten, and values in between if the decades are
 * few.
 */
export function isRound(value: number, decades: number): boolean {
  const leading = Math.round((value / 10 ** Math.floor(Math.log10(value) + 1e-9)) * 1e6) / 1e6;
  if (decades >= 3) return leading === 1;
  return decades >= 1 ? [1, 2, 5].includes(leading) : Number.isInteger(leading);
}
