import type { Options } from '../plan/planOptions.ts';
import { bestLevel } from './bestLevel.ts';
import type { PossibleGroup, SharingFamily } from './possibleGroups.ts';
import { type Paths, type Step, shortestPaths } from './shortestPaths.ts';

/** Sizes and losses of a matrix or a group, by its name. */
export type OptionsByName = ReadonlyMap<string, Options>;

/**
 * The groups that cost least where a parameter has a price, in units of loss: each position of a family is covered by a
 * group of all its modules, or by groups and single matrices of each module, and the cheapest covering is found by
 * dynamic programming. A price stands for a budget, as the multiplier of Lagrange.
 */
export function chooseGroups(
  { cells, groups }: SharingFamily,
  single: OptionsByName,
  shared: OptionsByName,
  price: number,
): PossibleGroup[] {
  const count = cells.length;
  const parts = cells[0]?.length ?? 0;
  const costs = new Map<Options, number>();
  const costOf = (options: Options | undefined) => {
    if (!options) return undefined;
    const known = costs.get(options) ?? bestLevel(options, price).cost;
    costs.set(options, known);
    return known;
  };
  const starting = groups.reduce(
    (lists, group) => {
      lists[group.from]!.push(group);
      return lists;
    },
    cells.map((): PossibleGroup[] => []),
  );
  function* sharedFrom(from: number, part: number | null): Generator<Step<Found>> {
    for (const group of starting[from]!) {
      const cost = group.part === part ? costOf(shared.get(group.name)) : undefined;
      if (cost !== undefined) yield { from, to: group.to + 1, cost, label: () => [group] };
    }
  }
  function* apartFrom(from: number, part: number): Generator<Step<Found>> {
    const name = cells[from]![part];
    yield { from, to: from + 1, cost: (name === undefined ? 0 : costOf(single.get(name))) ?? 0, label: () => [] };
    yield* sharedFrom(from, part);
  }
  function* stepsFrom(from: number): Generator<Step<Found>> {
    yield* sharedFrom(from, null);
    const apart = Array.from({ length: parts }, (_, part) => shortestPaths(from, count, (at) => apartFrom(at, part)));
    for (let to = from + 1; to <= count; to++) {
      const cost = apart.reduce((sum, paths) => sum + paths.costTo(to), 0);
      yield { from, to, cost, label: () => apart.flatMap((paths) => groupsTo(paths, to)) };
    }
  }
  return groupsTo(shortestPaths(0, count, stepsFrom), count);
}

/** The groups of a step, found when they are asked for. */
type Found = () => PossibleGroup[];

const groupsTo = (paths: Paths<Found>, position: number) => paths.labelsTo(position).flatMap((found) => found());
