/** A value known at a layer. */
export interface KnownAt {
  readonly layer: number;
  readonly value: number;
}

/** Below it, a divergence is noise; logarithms need a bound. */
const LEAST = 1e-12;

/**
 * The value at a layer between those that are known, linear in the layer and geometric in the value; beyond them, that
 * of the nearest. Undefined if none is known.
 */
export function filledIn(known: readonly KnownAt[], layer: number): number | undefined {
  let [below, above]: (KnownAt | undefined)[] = [];
  for (const each of known) {
    if (each.layer <= layer && (!below || each.layer > below.layer)) below = each;
    if (each.layer >= layer && (!above || each.layer < above.layer)) above = each;
  }
  if (!below || !above) return (below ?? above)?.value;
  if (below.layer === above.layer) return below.value;
  const share = (layer - below.layer) / (above.layer - below.layer);
  const log = ({ value }: KnownAt) => Math.log(Math.max(LEAST, value));
  return Math.exp((1 - share) * log(below) + share * log(above));
}
