import type { Boundary } from '../spreads.ts';
import { type Choice, costAt, lossAt, type Options, smallestChoice, totalCost } from './planOptions.ts';

/**
 * The smallest choice along the way of `greedyWithin` for which the condition, which fails from there on, does not
 * hold; null if it holds for all. If it changes within a step, the choice has a part of that step.
 */
export function greedyBeyond(all: readonly Options[], within: (choice: Choice) => boolean): Choice | null {
  const { within: choice, beyond: after } = bisected(all, all.map(stepGains), within);
  if (choice === null || after === null) return after;
  for (let k = 0; k < all.length; k++) {
    let kept = choice[k]!;
    const goal = after[k]!;
    if (goal <= kept) continue;
    choice[k] = goal;
    if (within(choice)) continue;
    let crossed = goal;
    while (crossed - kept > 1) {
      choice[k] = (kept + crossed) >> 1;
      if (within(choice)) kept = choice[k]!;
      else crossed = choice[k]!;
    }
    choice[k] = crossed;
    return choice;
  }
  return null;
}

/** Of a budget, less than this share is not worth a step that gains little. */
const WORTH_SPENDING = 0.01;

/**
 * The choice with the least summed error (in the scale of `planOptions.ts`) within a cost of `limit`. Each matrix
 * starts at its lowest level; then the step of any matrix that saves the most error for its cost is taken (Fox 1966:
 * exact for concave gains). Each rank gains less than the one before, so gains are concave except for the last step:
 * the dense matrix costs little more than its factors at break-even and loses nothing. Levels above the straight line
 * to the dense matrix are therefore skipped, and the rest of the way is one long step (the multiple-choice knapsack,
 * Sinha and Zoltners 1979). The result has the least error possible for its size until a step does not fit. That step
 * is left out, with all further ones of its matrix, and the others go on, since a step to a dense matrix may cost
 * hundreds of short ones. Where that leaves much of the budget, as with few matrices, parts of long steps are taken.
 * Null if the smallest choice is beyond the limit.
 */
export function greedyWithin(all: readonly Options[], limit: number): Choice | null {
  const gains = all.map(stepGains);
  const { within: choice } = bisected(all, gains, (each) => totalCost(all, each) <= limit);
  if (choice === null) return null;
  let used = totalCost(all, choice);
  const gainAt = (k: number) => gains[k]![choice[k]! - all[k]!.least] ?? 0;
  const byGain = (some: readonly number[]) => [...some].sort((a, b) => gainAt(a) - gainAt(b));
  // The best is last. Gains of a matrix fall, so that one that has made a step moves toward the front.
  const queue = byGain([...all.keys()].filter((k) => gainAt(k) > 0));
  for (let k = queue.pop(); k !== undefined; k = queue.pop()) {
    const options = all[k]!;
    const index = choice[k]! - options.least;
    const level = index === gains[k]!.length - 1 ? options.levels + 1 : choice[k]! + 1;
    const cost = costAt(options, level) - costAt(options, choice[k]!);
    if (used + cost > limit) continue;
    used += cost;
    choice[k] = level;
    const next = gainAt(k);
    if (next > 0)
      queue.splice(
        placeOf(queue, (other) => gainAt(other) < next),
        0,
        k,
      );
  }
  if (limit - used > WORTH_SPENDING * limit) {
    for (const k of byGain([...all.keys()]).reverse()) {
      const {
        levels,
        cost: { step },
        only,
      } = all[k]!;
      const more = Math.min(levels - choice[k]!, Math.floor((limit - used) / step));
      if (only || more <= 0) continue;
      choice[k]! += more;
      used += more * step;
    }
  }
  return choice;
}

/** A choice, and between which gains it is the one that all steps of at least this gain lead to. */
interface Stop {
  readonly choice: Choice;
  readonly cost: number;
  least: number;
  most: number;
}

/**
 * Choices with the least summed error for their cost, from the smallest to the dense one, of about evenly spaced costs:
 * the widest gap between two is halved until there are `count`, or until no choice lies between any two.
 */
export function frontier(all: readonly Options[], count: number): Choice[] {
  const gains = all.map(stepGains);
  const smallest = smallestChoice(all);
  let [low, high] = [Number.POSITIVE_INFINITY, 0];
  for (const list of gains)
    for (const gain of list) {
      if (gain > high) high = gain;
      if (gain > 0 && gain < low) low = gain;
    }
  if (high === 0) return [smallest];
  const at = (gain: number): Stop => {
    const choice = Int32Array.from(all, (options, k) => levelAt(options, gains[k]!, gain));
    return { choice, cost: totalCost(all, choice), least: gain, most: gain };
  };
  const stops: Stop[] = [
    { choice: smallest, cost: totalCost(all, smallest), least: 2 * high, most: 2 * high },
    at(low),
  ];
  const gapAt = (k: number) => stops[k]!.cost - stops[k - 1]!.cost;
  const closed = new Set<Stop>();
  while (stops.length < count) {
    let widest = 0;
    for (let k = 1; k < stops.length; k++)
      if (!closed.has(stops[k]!) && gapAt(k) > (widest === 0 ? 0 : gapAt(widest))) widest = k;
    if (widest === 0) break;
    const [before, after] = [stops[widest - 1]!, stops[widest]!];
    const middle = Math.sqrt(before.least) * Math.sqrt(after.most);
    if (!(middle > after.most && middle < before.least)) {
      closed.add(after);
      continue;
    }
    const between = at(middle);
    if (between.cost === before.cost) before.least = middle;
    else if (between.cost === after.cost) after.most = middle;
    else stops.splice(widest, 0, between);
  }
  return stops.map(({ choice }) => choice);
}

/** The number of leading items for which the condition holds. */
function placeOf(items: readonly number[], holds: (item: number) => boolean): number {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(items[middle]!)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The choices before and after the gain at which the condition changes, each with all steps of at least some gain. */
function bisected(
  all: readonly Options[],
  gains: readonly Float64Array[],
  within: (choice: Choice) => boolean,
): Boundary {
  const smallest = smallestChoice(all);
  if (!within(smallest)) return { within: null, beyond: smallest };
  const choose = (gain: number) => Int32Array.from(all, (options, k) => levelAt(options, gains[k]!, gain));

  let high = 0;
  let low = Number.POSITIVE_INFINITY;
  for (const list of gains)
    for (const gain of list) {
      if (gain > high) high = gain;
      if (gain > 0 && gain < low) low = gain;
    }
  if (high === 0) return { within: smallest, beyond: null };
  let after = choose(low);
  if (within(after)) return { within: after, beyond: null };

  high *= 2;
  let best = smallest;
  for (;;) {
    const middle = Math.sqrt(low) * Math.sqrt(high);
    if (middle <= low || middle >= high) return { within: best, beyond: after };
    const choice = choose(middle);
    if (within(choice)) [best, high] = [choice, middle];
    else [after, low] = [choice, middle];
  }
}

/** The error that each step saves for its cost, descending: one level at a time, then one step to the dense matrix. */
function stepGains(options: Options): Float64Array {
  const {
    levels,
    least,
    cost: { step, dense },
    only,
  } = options;
  if (only || least > levels) return new Float64Array(0);
  const gains = new Float64Array(levels - least + 1);
  let count = 0;
  let last = Number.POSITIVE_INFINITY;
  for (let level = least; ; level++) {
    const toDense = lossAt(options, level) / (dense - costAt(options, level));
    const next = level < levels ? (lossAt(options, level) - lossAt(options, level + 1)) / step : 0;
    // Differences of rounded sums may rise by an ulp, but a bisected list must not.
    last = Math.min(last, Math.max(next, toDense));
    gains[count++] = last;
    if (toDense >= next) return gains.subarray(0, count);
  }
}

/** The level after all steps that gain at least `gain`. */
function levelAt({ levels, least }: Options, gains: Float64Array, gain: number): number {
  let low = 0;
  let high = gains.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (gains[middle]! >= gain) low = middle + 1;
    else high = middle;
  }
  return low > 0 && low === gains.length ? levels + 1 : least + low;
}
