import type { Boundary } from '../spreads.ts';
import { type Choice, lossAt, type Options, parametersAt } from './planOptions.ts';

/**
 * The choices with the least summed squared error (in the scale of `planOptions.ts`) for their size. Each matrix starts
 * at its lowest level; then the step of any matrix that saves the most error per parameter is taken, as long as
 * `within` holds (Fox 1966: exact for concave gains). Each rank gains less than the one before, so gains are concave
 * except for the last step: the dense matrix costs little more than its factors at break-even and loses nothing. Levels
 * above the straight line to the dense matrix are therefore skipped, and the rest of the way is one long step (the
 * multiple-choice knapsack, Sinha and Zoltners 1979). The result has the least error possible for its size; if the
 * condition changes within a step, it is such a choice plus a part of that step.
 */
export function greedyBoundary(all: readonly Options[], within: (choice: Choice) => boolean): Boundary {
  const gains = all.map(stepGains);
  const smallest = Int32Array.from(all, () => 1);
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

  // Bisection for the gain at which the condition changes; then the steps of that gain, matrix by matrix.
  high *= 2;
  let best = smallest;
  for (;;) {
    const middle = Math.sqrt(low) * Math.sqrt(high);
    if (middle <= low || middle >= high) break;
    const choice = choose(middle);
    if (within(choice)) [best, high] = [choice, middle];
    else [after, low] = [choice, middle];
  }
  for (let k = 0; k < all.length; k++) {
    let kept = best[k]!;
    const goal = after[k]!;
    if (goal <= kept) continue;
    best[k] = goal;
    if (within(best)) continue;
    let crossed = goal;
    while (crossed - kept > 1) {
      best[k] = (kept + crossed) >> 1;
      if (within(best)) kept = best[k]!;
      else crossed = best[k]!;
    }
    const beyond = best.slice();
    best[k] = kept;
    beyond[k] = crossed;
    return { within: best, beyond };
  }
  return { within: best, beyond: null };
}

/** The error that each step saves per parameter, descending: one level at a time, then one step to the dense matrix. */
function stepGains(options: Options): Float64Array {
  const { levels, step, dense, only } = options;
  if (only || levels === 0) return new Float64Array(0);
  const gains = new Float64Array(levels);
  let count = 0;
  let last = Number.POSITIVE_INFINITY;
  for (let level = 1; ; level++) {
    const toDense = lossAt(options, level) / (dense - parametersAt(options, level));
    const next = level < levels ? (lossAt(options, level) - lossAt(options, level + 1)) / step : 0;
    // Differences of rounded sums may rise by an ulp, but a bisected list must not.
    last = Math.min(last, Math.max(next, toDense));
    gains[count++] = last;
    if (toDense >= next) return gains.subarray(0, count);
  }
}

/** The level after all steps that gain at least `gain`. */
function levelAt({ levels }: Options, gains: Float64Array, gain: number): number {
  let low = 0;
  let high = gains.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (gains[middle]! >= gain) low = middle + 1;
    else high = middle;
  }
  return low > 0 && low === gains.length ? levels + 1 : 1 + low;
}
