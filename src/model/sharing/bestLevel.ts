import { lossAt, type Options, parametersAt } from '../plan/planOptions.ts';

export interface BestLevel {
  readonly level: number;
  /** Loss + price x parameters. */
  readonly cost: number;
}

/** The level with the least loss + price x parameters. Each level gains less than the one before, except the last. */
export function bestLevel(options: Options, price: number): BestLevel {
  const { least, levels, only } = options;
  const costAt = (level: number) => lossAt(options, level) + price * parametersAt(options, level);
  if (only) return { level: least, cost: costAt(least) };
  let [low, high] = [least, levels];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (costAt(middle + 1) < costAt(middle)) low = middle + 1;
    else high = middle;
  }
  const dense = { level: levels + 1, cost: costAt(levels + 1) };
  const cut = low <= levels ? { level: low, cost: costAt(low) } : dense;
  return cut.cost <= dense.cost ? cut : dense;
}
