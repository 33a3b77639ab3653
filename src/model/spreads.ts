import type { Choice, Options } from './plan/planOptions.ts';
import { rankForLostShare } from './plan/rankCost.ts';

/** Two adjacent choices in growing order: the last one that meets a condition, and the first one that does not. */
export interface Boundary {
  /** null if even the smallest does not meet it. */
  readonly within: Choice | null;
  /** null if all meet it. */
  readonly beyond: Choice | null;
}

/**
 * Choices that grow with t in [0, 1] and give every matrix the same share of something; 0 is the smallest choice, 1 the
 * exact one.
 */
export type Path = (t: number) => Choice;

/** The same share of its cost for every matrix: the highest rank whose factors cost at most t times the matrix. */
export function uniformPath(all: readonly Options[]): Path {
  return (t) =>
    Int32Array.from(all, ({ cost: { dense, step }, levels, least }) =>
      t >= 1 ? levels + 1 : Math.max(least, Math.min(levels, Math.floor((t * dense) / step))),
    );
}

/** The same share of energy for every matrix: the lowest rank that keeps at least t of it. */
export function energyPath(all: readonly Options[]): Path {
  return (t) => Int32Array.from(all, (options) => levelForEnergy(options, t));
}

export function levelForEnergy({ tail, multiple, levels, least }: Options, share: number): number {
  const level = Math.max(least, Math.ceil(rankForLostShare(tail, 1 - share) / multiple));
  return Math.min(level, levels + 1);
}

/** The point of a path at which the condition becomes false, by bisection to the last bit of t. */
export function pathBoundary(path: Path, holds: (choice: Choice) => boolean): Boundary {
  let within = path(0);
  if (!holds(within)) return { within: null, beyond: within };
  let beyond = path(1);
  if (holds(beyond)) return { within: beyond, beyond: null };
  for (let low = 0, high = 1; ; ) {
    const middle = (low + high) / 2;
    if (middle <= low || middle >= high) return { within, beyond };
    const choice = path(middle);
    if (holds(choice)) [within, low] = [choice, middle];
    else [beyond, high] = [choice, middle];
  }
}
