/** A step from one position to a later one. */
export interface Step<Label> {
  readonly from: number;
  readonly to: number;
  readonly cost: number;
  readonly label: Label;
}

export interface Paths<Label> {
  /** The least cost of a way to a position; infinite where there is none. */
  costTo(position: number): number;
  /** The labels along that way. */
  labelsTo(position: number): Label[];
}

/**
 * The cheapest ways from a position to all later ones, by dynamic programming over the positions.
 * @param steps by where they start
 */
export function shortestPaths<Label>(
  start: number,
  end: number,
  steps: (from: number) => Iterable<Step<Label>>,
): Paths<Label> {
  const costs = new Map([[start, 0]]);
  const last = new Map<number, Step<Label>>();
  const costTo = (position: number) => costs.get(position) ?? Number.POSITIVE_INFINITY;
  for (let at = start; at < end; at++) {
    const cost = costTo(at);
    if (cost === Number.POSITIVE_INFINITY) continue;
    for (const step of steps(at)) {
      if (step.to > end || cost + step.cost >= costTo(step.to)) continue;
      costs.set(step.to, cost + step.cost);
      last.set(step.to, step);
    }
  }
  return {
    costTo,
    labelsTo(position) {
      const labels: Label[] = [];
      for (let step = last.get(position); step; step = last.get(step.from)) labels.unshift(step.label);
      return labels;
    },
  };
}
