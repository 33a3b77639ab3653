import { costAt, lossAt, type Options } from '../plan/planOptions.ts';

export interface BestLevel {
  readonly level: number;
  /** Loss + price x what the budget counts. */
  readonly cost: number;
}

/** The level with the least loss + price x cost. Each level gains less than the one before, except the last. */
export function bestLevel(options: Options, price: number): BestLevel {
  const { least, levels, only } = options;
  const pricedAt = (level: number) => lossAt(options, level) + price * costAt(options, level);
  if (only) return { level: least, cost: pricedAt(least) };
  let [low, high] = [least, levels];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (pricedAt(middle + 1) < pricedAt(middle)) low = middle + 1;
    else high = middle;
  }
  const dense = { level: levels + 1, cost: pricedAt(levels + 1) };
  const cut = low <= levels ? { level: low, cost: pricedAt(low) } : dense;
  return cut.cost <= dense.cost ? cut : dense;
}
