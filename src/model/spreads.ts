import type { Choice, Options } from './plan/planOptions.ts';
import { rankForLostShare } from './plan/rankCost.ts';

/** Two neighbours among growing choices: the last for which a condition still holds, and the first for which it does not. */
export interface Boundary {
  /** null: it does not hold even for the smallest. */
  readonly within: Choice | null;
  /** null: it holds for all. */
  readonly beyond: Choice | null;
}

/** Choices that grow with t in [0, 1], every matrix getting the same share of something: 0 is the smallest, 1 the exact one. */
export type Path = (t: number) => Choice;

/** The same ratio of parameters everywhere: the highest rank whose factors are at most t times the matrix. */
export function uniformPath(all: readonly Options[]): Path {
  return (t) =>
    Int32Array.from(all, ({ dense, step, levels }) =>
      t >= 1 ? levels + 1 : Math.max(1, Math.min(levels, Math.floor((t * dense) / step))),
    );
}

/** The same share of energy everywhere: the lowest rank that keeps at least t of it. */
export function energyPath(all: readonly Options[]): Path {
  return (t) => Int32Array.from(all, (options) => levelForEnergy(options, t));
}

export function levelForEnergy({ tail, multiple, levels }: Options, share: number): number {
  const level = Math.max(1, Math.ceil(rankForLostShare(tail, 1 - share) / multiple));
  return Math.min(level, levels + 1);
}

/** Where along a path the condition turns false, by bisection to the last bit of t. */
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
