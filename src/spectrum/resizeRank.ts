/**
 * The ranks of kohya's resize_lora by its names, for singular values in descending order. Its own results are one lower
 * where all values are wanted, because it never keeps the last of them; these keep it.
 */
export function resizedRank(
  singularValues: ArrayLike<number>,
  method: 'sv_ratio' | 'sv_fro' | 'sv_cumulative',
  value: number,
): number {
  const values = Array.from(singularValues);
  const [largest = 0] = values;
  if (largest === 0) return 1;
  if (method === 'sv_ratio') return Math.max(1, values.filter((each) => each > largest / value).length);
  const parts = method === 'sv_fro' ? values.map((each) => each * each) : values;
  const total = parts.reduce((sum, each) => sum + each, 0);
  const wanted = (method === 'sv_fro' ? value * value : value) * total;
  // A sum of shares that should be all of it may be one rounding short.
  const enough = wanted * (1 - 1e-12);
  let sum = 0;
  for (const [index, part] of parts.entries()) {
    sum += part;
    if (sum >= enough) return index + 1;
  }
  return values.length;
}
